// bindings/trace_records.hpp: what a trace writes down: the kinds of records and their numbers.
#pragma once

#include <chrono>
#include <cstdint>

#include "core/clock.hpp"
#include "core/trace_ring.hpp"

namespace gilpool::bindings {

/// What TraceRecord::kind says. gilpool/_trace_records.py knows these numbers, too.
enum class TraceKind : std::uint8_t {
    task,         ///< begin..end; extra: asked for the GIL; cpu; number; name; detail: TraceOutcome
    spawned,      ///< begin; number
    cancelled,    ///< begin; number: it left the queue without having run
    own_release,  ///< let the GIL go at extra, wanted it back from begin to end, in a task
    handed_back,  ///< a worker waited for the GIL from begin to end, and left it to another one
    instant,      ///< begin; detail: TraceInstant
    seen,         ///< a look at begin (the one before: end) saw that the thread is in state detail
    counters,     ///< begin; number: queued; name: running; extra: active runners
    native_begins,  ///< begin; number; name: native work on this thread
    native,         ///< begin..end; number; name: the same when it is over
    wait_begins,    ///< begin; number; name: a wait that needs no thread, spawned by this one
    native_ends     ///< begin; number; detail: TraceOutcome of native work or of such a wait
};

enum class TraceOutcome : std::uint8_t { returned, raised, killed, unfinished };
enum class TraceInstant : std::uint8_t { worker_started, worker_retired, runner_admitted };

inline core::TraceRecord trace_record(TraceKind kind, std::int64_t begin) {
    core::TraceRecord record{};
    record.kind = static_cast<std::uint8_t>(kind);
    record.begin = begin;
    return record;
}

inline std::int64_t trace_time(core::TimePoint when) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
}

inline std::int64_t trace_now() {
    return trace_time(core::monotonic_now());
}

}  // namespace gilpool::bindings
