// A flag that sleepers can wait on: request_stop() wakes every one of them at once.
// Any thread, with or without the GIL (but let go of it before sleep_until()).
#pragma once

#include <atomic>

#include "core/clock.hpp"
#include "core/waiters.hpp"

namespace gilpool::core {

/// Thread safety: all members may be called at the same time. Once set the flag stays set.
class StopToken {
  public:
    /// stop_requested() tells whether request_stop() has been called.
    bool stop_requested() const noexcept { return stopped_.load(std::memory_order_acquire); }

    /// request_stop() sets the flag and wakes who sleeps. Idempotent.
    void request_stop() noexcept {
        // Set before the list is emptied under its lock: who adds itself before that is notified,
        // who adds itself later sees the flag (the lock orders the two, so release is enough).
        stopped_.store(true, std::memory_order_release);
        sleepers_.notify_all();
    }

    /// sleep_until() blocks until the deadline (`timed_out`), until a stop is requested
    /// (`unparked`, also if that was earlier), or until a signal handler has run.
    ParkResult sleep_until(TimePoint deadline) {
        ThreadWaiter sleeper;
        sleepers_.add(sleeper);
        const ParkResult result =
            stop_requested() ? ParkResult::unparked : sleeper.wait_until(deadline);
        sleepers_.remove(sleeper);
        return result;
    }

  private:
    std::atomic<bool> stopped_{false};
    WaitList sleepers_;
};

}  // namespace gilpool::core
