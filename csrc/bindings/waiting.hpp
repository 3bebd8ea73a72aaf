// bindings/waiting.hpp: how a Python thread waits for something native: GIL released, pool slot
// lent, open to Ctrl-C and kill. Called with the GIL held.
#pragma once

#include <Python.h>

#include <atomic>
#include <chrono>

#include "core/clock.hpp"
#include "core/parker.hpp"
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

/// A waiter that sits in `list` for a scope, even when the thread is unwound out of it.
class ListedWaiter {
  public:
    explicit ListedWaiter(core::WaitList& list) : list_(list) { list_.add(entry_); }
    ~ListedWaiter() { list_.remove(entry_); }
    ListedWaiter(const ListedWaiter&) = delete;
    ListedWaiter& operator=(const ListedWaiter&) = delete;

    /// Waits, GIL released, until notified, `deadline`, or an exception. If the thread runs a task,
    /// the slot it takes in its pool is lent meanwhile, so that a pool never waits for itself.
    WaitOutcome wait_until(core::TimePoint deadline);

  private:
    struct Entry : core::Waiter {
        Entry() noexcept : core::Waiter(&Entry::on_notify) {}
        static void on_notify(core::Waiter& waiter) noexcept;
        std::atomic<bool> notified{false};
        core::Parker parker;
    };

    core::WaitList& list_;
    Entry entry_;
};

/// Sleeps, GIL released, until `deadline` (timed_out) or an exception (raised).
WaitOutcome sleep_released(core::TimePoint deadline);

}  // namespace gilpool::bindings
