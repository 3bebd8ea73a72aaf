// The one notion of time in core: monotonic time points, and a clock that a test can replace.
// Any thread may call any of this, with or without the GIL; nothing here takes a lock.
#pragma once

#include <chrono>

namespace gilpool::core {

/// A moment on CLOCK_MONOTONIC, the clock of futexes, timerfd and Python's time.monotonic().
using TimePoint = std::chrono::steady_clock::time_point;
using Duration = TimePoint::duration;

/// The deadline of a wait that has none.
inline constexpr TimePoint kNever = TimePoint::max();

/// `deadline_after(now, delay)` is now + delay, and kNever where the sum would not fit.
constexpr TimePoint deadline_after(TimePoint now, Duration delay) noexcept {
    return delay >= kNever - now ? kNever : now + delay;
}

/// `monotonic_now()` is the current moment, for what needs no clock of a test's own.
inline TimePoint monotonic_now() noexcept {
    return std::chrono::steady_clock::now();
}

/// Where a component that waits reads the time.
/// Thread safety: implementations must allow concurrent calls.
class Clock {
  public:
    /// `now()` returns the current moment and never goes backwards.
    virtual TimePoint now() const noexcept = 0;

    /// `runs_by_itself()` tells whether waiting for (deadline - now()) ends at the deadline.
    /// A clock that is moved by hand answers false: who waits on it sleeps until told that it
    /// moved.
    virtual bool runs_by_itself() const noexcept = 0;

  protected:
    /// Not virtual, so that a static clock needs no destructor at exit: threads may outlive that.
    ~Clock() = default;
};

/// The system's monotonic clock.
class SteadyClock final : public Clock {
  public:
    TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
    bool runs_by_itself() const noexcept override { return true; }

    /// `instance()` returns the clock that everything outside of tests uses.
    static const SteadyClock& instance() noexcept {
        static constinit const SteadyClock clock;
        return clock;
    }
};

}  // namespace gilpool::core
