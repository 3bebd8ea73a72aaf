// bindings/trace_native.hpp: the places in the life of native work that a trace knows of: a kernel
// on its lane, and a wait that needs no thread.
//
// While no trace is being recorded each is one relaxed load and a branch, as in trace.hpp. What the
// work has come to is written down when it is delivered, because only then is it known.
#pragma once

#include <Python.h>

#include <cstdint>

#include "bindings/trace.hpp"

namespace gilpool::bindings {

/// What native work has to remember of its task in order to be traced; number 0: it is not.
struct TraceTicket {
    std::uint32_t number = 0;
    std::uint32_t name = 0;
};

namespace detail {
TraceTicket trace_native_spawned(TaskObject* task);
void trace_wait_begins(TaskObject* task, std::int64_t begin);
void trace_native_ends(const TaskObject* task, PyObject* exception);
}  // namespace detail

/// The task has been given to a native lane instead of a queue. GIL held.
inline TraceTicket trace_native_spawned(TaskObject* task) {
    return tracing() ? detail::trace_native_spawned(task) : TraceTicket{};
}

/// The time, for a wait that is about to be set going: afterwards is too late, its length counts
/// from before. 0: no trace.
inline std::int64_t trace_wait_is_due() {
    return tracing() ? trace_now() : 0;
}

/// The task waits since `begin`, without a thread. GIL held.
inline void trace_wait_begins(TaskObject* task, std::int64_t begin) {
    if (begin != 0 && tracing()) {
        detail::trace_wait_begins(task, begin);
    }
}

/// Native work, or such a wait, has come to its end; `exception` (borrowed) or null is its outcome.
/// GIL held.
inline void trace_native_ends(const TaskObject* task, PyObject* exception) {
    if (tracing()) {
        detail::trace_native_ends(task, exception);
    }
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
    std::int64_t begin() const;
    void end() const;

    const TraceTicket ticket_;
    const std::int64_t begin_;
};

}  // namespace gilpool::bindings
