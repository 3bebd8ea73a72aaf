// bindings/trace_membership.hpp: the calling thread's part in the trace, and what all threads share
// of it: the log, the numbers of tasks, the counts. No GIL needed where no comment says so.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/trace_log.hpp"

namespace gilpool::bindings {

struct TaskObject;

/// The calling thread's entry in the log, made now if it has none; null if there is no memory.
core::TraceLog::Thread* enter_trace();

/// The same if it has one, else null.
core::TraceLog::Thread* trace_member();

/// Writes the record into the calling thread's ring.
void write_trace(const core::TraceRecord& record);

/// Takes the calling thread out of the log; its ring is collected first.
void leave_trace_log();

/// The log of this process. GIL held.
core::TraceLog& trace_log();

/// Tasks in queues and running ones, as counted from the begin of the trace on. Changed with the
/// GIL held, read by the observer.
struct TraceCounts {
    std::atomic<std::uint32_t> queued{0};
    std::atomic<std::uint32_t> running{0};

    static void add_one(std::atomic<std::uint32_t>& count) { add(count, 1); }
    static void take_one(std::atomic<std::uint32_t>& count) { add(count, ~std::uint32_t{0}); }

  private:
    static void add(std::atomic<std::uint32_t>& count, std::uint32_t change) {
        // Under the GIL, which is why it need not be one instruction.
        count.store(count.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
    }
};
TraceCounts& trace_counts();

/// The task's number in the present trace, given to it now if it has none. GIL held.
std::uint32_t trace_number_of(TaskObject* task);

/// A number that it has not had before. GIL held.
std::uint32_t new_trace_number(TaskObject* task);

/// Whether the task has been given one in the present trace. GIL held.
bool has_trace_number(const TaskObject* task);

/// Tasks that have got a number before now belong to earlier traces. GIL held.
void restart_trace_numbers();

/// A record could not even be counted by its thread.
void note_lost_record();

/// How many, since the last call of this.
std::uint64_t take_lost_records();

/// In a forked child: other threads may have been writing or collecting, so what was is left as it
/// is. GIL held.
void forget_trace_log();

}  // namespace gilpool::bindings
