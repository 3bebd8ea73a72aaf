// bindings/trace_membership.cpp: a thread enters the log with its first record.
#include "bindings/trace_membership.hpp"

#include <new>

#include "bindings/task_type.hpp"
#include "core/native_thread.hpp"

namespace gilpool::bindings {

namespace {

using Thread = core::TraceLog::Thread;

/// For as long as the thread lives.
struct Membership {
    Thread* thread = nullptr;
    ~Membership() { leave(); }

    void leave() {
        if (thread != nullptr) {
            trace_log().leave(thread);
            thread = nullptr;
        }
    }
};

constinit thread_local Membership t_membership;
core::TraceLog* g_log = nullptr;  // never destroyed: threads may outlive main()
TraceCounts g_counts;
std::uint32_t g_numbers = 0;         // GIL
std::uint32_t g_numbers_before = 0;  // GIL
std::atomic<std::uint64_t> g_lost{0};

}  // namespace

Thread* enter_trace() {
    if (t_membership.thread == nullptr) {
        try {
            t_membership.thread = trace_log().enter(static_cast<int>(core::kernel_id()));
        } catch (const std::bad_alloc&) {
            note_lost_record();
        }
    }
    return t_membership.thread;
}

Thread* trace_member() {
    return t_membership.thread;
}

void write_trace(const core::TraceRecord& record) {
    if (Thread* const me = enter_trace()) {
        me->ring.write(record);
    }
}

void leave_trace_log() {
    t_membership.leave();
}

core::TraceLog& trace_log() {
    if (g_log == nullptr) {
        g_log = new core::TraceLog;
    }
    return *g_log;
}

TraceCounts& trace_counts() {
    return g_counts;
}

std::uint32_t trace_number_of(TaskObject* task) {
    return has_trace_number(task) ? task->trace_number : new_trace_number(task);
}

std::uint32_t new_trace_number(TaskObject* task) {
    task->trace_number = ++g_numbers;
    return task->trace_number;
}

bool has_trace_number(const TaskObject* task) {
    return task->trace_number > g_numbers_before;
}

void restart_trace_numbers() {
    g_numbers_before = g_numbers;
}

void note_lost_record() {
    g_lost.fetch_add(1, std::memory_order_relaxed);
}

std::uint64_t take_lost_records() {
    return g_lost.exchange(0);
}

void forget_trace_log() {
    g_log = nullptr;
    t_membership.thread = nullptr;
}

}  // namespace gilpool::bindings
