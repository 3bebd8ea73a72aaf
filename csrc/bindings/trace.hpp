// bindings/trace.hpp: the places in the program that a trace knows of.
//
// Each hook is one relaxed load and a branch while no trace is being recorded; what it does
// otherwise is in trace.cpp. Hooks record into the calling thread's own ring: no lock, and no
// allocation but for a thread's first record. GIL held where a comment says so.
#pragma once

#include <Python.h>

#include <atomic>
#include <cstdint>

#include "core/clock.hpp"
#include "core/trace_log.hpp"

namespace gilpool::bindings {

struct TaskObject;

/// What TraceRecord::kind says. gilpool/_trace_model.py knows these numbers, too.
enum class TraceKind : std::uint8_t {
    task,         ///< begin..end; extra: asked for the GIL; cpu; number; name; detail: TraceOutcome
    spawned,      ///< begin; number
    cancelled,    ///< begin; number: it left the queue without having run
    own_release,  ///< let the GIL go at extra, wanted it back from begin to end, in a task
    handed_back,  ///< a worker waited for the GIL from begin to end, and left it to another one
    instant,      ///< begin; detail: TraceInstant
    seen,         ///< a look at begin (the one before: end) saw that the thread is in state detail
    counters,     ///< begin; number: queued; name: running; extra: active runners
    native        ///< begin..end; number; name; detail: TraceOutcome
};

enum class TraceOutcome : std::uint8_t { returned, raised, killed, unfinished };
enum class TraceInstant : std::uint8_t { worker_started, worker_retired, runner_admitted };

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

/// What native work has to remember of its task in order to be traced; number 0: it is not.
struct TraceTicket {
    std::uint32_t number = 0;
    std::uint32_t name = 0;
};

namespace detail {
TraceTicket trace_native_spawned(TaskObject* task);
}

/// The task has been given to a native lane instead of a queue. GIL held.
inline TraceTicket trace_native_spawned(TaskObject* task) {
    return tracing() ? detail::trace_native_spawned(task) : TraceTicket{};
}

/// Native work runs on the calling thread for the life of this object. No GIL needed, neither at
/// its begin nor at its end; the task may be gone by then.
class TracedNativeWork {
  public:
    explicit TracedNativeWork(TraceTicket ticket)
        : ticket_(ticket), begin_(ticket.number != 0 && tracing() ? begin() : 0) {}
    ~TracedNativeWork() {
        if (begin_ != 0) {
            end();
        }
    }
    TracedNativeWork(const TracedNativeWork&) = delete;
    TracedNativeWork& operator=(const TracedNativeWork&) = delete;

  private:
    static std::int64_t begin();
    void end() const;

    const TraceTicket ticket_;
    const std::int64_t begin_;
};

/// Before its thread state goes: the calling thread is not looked at any more.
void leave_trace();

// --- for trace_session.cpp; GIL held

/// The log of this process.
core::TraceLog& trace_log();

/// Tasks in queues and running ones, as counted from here on. Read by the observer.
struct TraceCounts {
    std::atomic<std::uint32_t> queued{0};
    std::atomic<std::uint32_t> running{0};
};
TraceCounts& trace_counts();

/// The number that the next task gets which is spawned in this process.
std::uint32_t next_trace_number();

/// In a forked child: no trace, and no thread takes part in one.
void forget_trace();

}  // namespace gilpool::bindings
