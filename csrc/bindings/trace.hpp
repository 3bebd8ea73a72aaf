// bindings/trace.hpp: the places in the life of a Python task and of a worker that a trace knows
// of; those of native work are in trace_native.hpp.
//
// Each hook is one relaxed load and a branch while no trace is being recorded; what it does
// otherwise is in trace.cpp. Hooks record into the calling thread's own ring: no lock, and no
// allocation but for a thread's first record. GIL held where a comment says so.
#pragma once

#include <Python.h>

#include <atomic>
#include <cstdint>

#include "bindings/trace_records.hpp"
#include "core/clock.hpp"

namespace gilpool::bindings {

struct TaskObject;

namespace detail {

inline constinit std::atomic<bool> trace_is_on{false};

void trace_spawned(TaskObject* task);
void trace_unqueued(const TaskObject* task);
void trace_task_begins(TaskObject* task);
void trace_task_ends(TaskObject* task, PyObject* exception);
void trace_asks();
void trace_came_in(core::TimePoint asked, bool takes_over);
void trace_instant(TraceInstant what);
std::int64_t trace_let_go();
void trace_take_back(PyThreadState* state, std::int64_t since);

}  // namespace detail

inline bool tracing() {
    // Relaxed: who sees it change a little late records a little less, or what nobody reads.
    return __builtin_expect(detail::trace_is_on.load(std::memory_order_relaxed) ? 1 : 0, 0) != 0;
}

/// The task has been queued. GIL held.
inline void trace_spawned(TaskObject* task) {
    if (tracing()) {
        detail::trace_spawned(task);
    }
}

/// The task has left the queue, and not in order to run. GIL held.
inline void trace_unqueued(const TaskObject* task) {
    if (tracing()) {
        detail::trace_unqueued(task);
    }
}

/// The calling worker is about to make the task's call. GIL held.
inline void trace_task_begins(TaskObject* task) {
    if (tracing()) {
        detail::trace_task_begins(task);
    }
}

/// The call is over; `exception` (borrowed) or null is its outcome. GIL held.
inline void trace_task_ends(TaskObject* task, PyObject* exception) {
    if (tracing()) {
        detail::trace_task_ends(task, exception);
    }
}

/// The spare is about to wait for the GIL, which it does not hold.
inline void trace_asks() {
    if (tracing()) {
        detail::trace_asks();
    }
}

/// The spare has waited for the GIL since `asked`, and has it: to run tasks, or to hand it back.
/// GIL held.
inline void trace_came_in(core::TimePoint asked, bool takes_over) {
    if (tracing()) {
        detail::trace_came_in(asked, takes_over);
    }
}

/// Something happened to the calling thread.
inline void trace_instant(TraceInstant what) {
    if (tracing()) {
        detail::trace_instant(what);
    }
}

/// The calling thread has just let the GIL go. The time, if that belongs into a trace; else 0.
inline std::int64_t trace_let_go() {
    return tracing() ? detail::trace_let_go() : 0;
}

/// Takes the GIL, which has been let go at `since` (0: not traced).
inline void take_gil_back(PyThreadState* state, std::int64_t since) {
    if (__builtin_expect(since != 0 ? 1 : 0, 0) != 0) {
        detail::trace_take_back(state, since);
    } else {
        PyEval_RestoreThread(state);
    }
}

/// Before its thread state goes: the calling thread is not looked at any more.
void leave_trace();

/// What the end of a call is called in a trace; `exception` is borrowed or null. GIL held.
TraceOutcome trace_outcome_of(PyObject* exception);

/// In a forked child: no trace, and no thread takes part in one. GIL held.
void forget_trace();

}  // namespace gilpool::bindings
