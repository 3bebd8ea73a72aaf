// bindings/waiting.hpp: how a Python thread waits for something native: GIL released, pool slot
// lent, open to Ctrl-C and kill. Called with the GIL held.
#pragma once

#include <Python.h>

#include <chrono>

#include "bindings/wakeups.hpp"
#include "core/clock.hpp"
#include "core/waiters.hpp"

namespace gilpool::bindings {

enum class WaitOutcome {
    notified,   ///< what was waited for happened
    timed_out,  ///< the deadline passed
    raised      ///< a signal handler or a kill raised: the Python exception is set
};

/// How long the main thread sleeps before it looks for signals by itself: a signal may arrive just
/// before the sleep begins, or on another thread.
inline constexpr std::chrono::milliseconds kSignalSlice{40};

/// What the main thread does when it wakes without a reason: false with the exception that a signal
/// handler has raised.
bool look_for_signals();

/// A waiter that sits in `list` for a scope, even when the thread is unwound out of it.
class ListedWaiter {
  public:
    explicit ListedWaiter(core::WaitList& list) : list_(list) { list_.add(waiter_); }
    ~ListedWaiter() {
        list_.remove(waiter_);
        waiter_.leave();
    }
    ListedWaiter(const ListedWaiter&) = delete;
    ListedWaiter& operator=(const ListedWaiter&) = delete;

    /// Waits, GIL released, until notified, `deadline`, or an exception. A worker that waits lends
    /// its role to the next one, and the slot that its task takes in its pool: so a pool never
    /// waits for itself.
    WaitOutcome wait_until(core::TimePoint deadline);

  private:
    core::WaitList& list_;
    PatientWaiter waiter_;
};

/// Waits, GIL released, for a waiter that somebody will notify: as ListedWaiter does.
WaitOutcome wait_for(PatientWaiter& waiter, core::TimePoint deadline);

/// For a loop over what may be without an end and need not run any bytecode, in which Python would
/// let others have the GIL, signals be seen, and a kill through. Who is being killed gets no
/// further item; the rest is seen to now and then.
class Breath {
  public:
    /// To be called for each item; false with the exception of a signal handler or a kill.
    bool take();

  private:
    bool take_if_due();

    static constexpr unsigned kLook = 1'024;  ///< items take 0.03-0.2 us
    static constexpr std::chrono::milliseconds kEvery{20};

    unsigned items_ = 0;
    core::TimePoint last_ = core::monotonic_now();
};

/// Sleeps, GIL released, until `deadline` (timed_out) or an exception (raised).
WaitOutcome sleep_released(core::TimePoint deadline);

}  // namespace gilpool::bindings
