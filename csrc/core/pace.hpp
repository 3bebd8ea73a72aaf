// How fast something may be begun again and again: on average once in an interval, in small bursts.
// Not synchronised: one caller at a time.
#pragma once

#include <algorithm>
#include <chrono>

#include "core/clock.hpp"

namespace gilpool::core {

/// A leaky bucket. Who is late may catch up by `slack`, and who is early need not wait before it is
/// early by as much: sleeps shorter than that cost more than they are worth.
class Pace {
  public:
    constexpr Pace(std::chrono::nanoseconds interval, std::chrono::nanoseconds slack) noexcept
        : interval_(interval), slack_(slack) {}

    /// note_start() counts one.
    void note_start(TimePoint now) noexcept { next_ = std::max(next_, now - slack_) + interval_; }

    /// ahead() returns how long the next one should wait: zero, or more than the slack.
    std::chrono::nanoseconds ahead(TimePoint now) const noexcept {
        const std::chrono::nanoseconds early = next_ - now;
        return early > slack_ ? early : std::chrono::nanoseconds::zero();
    }

  private:
    std::chrono::nanoseconds interval_;
    std::chrono::nanoseconds slack_;
    TimePoint next_{};  // when the next one is on time
};

}  // namespace gilpool::core
