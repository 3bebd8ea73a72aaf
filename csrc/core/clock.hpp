// core/clock.hpp: the one clock of the core, CLOCK_MONOTONIC, and what "no deadline" means on it.
#pragma once

#include <chrono>

namespace gilpool::core {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

/// A deadline that never comes.
inline constexpr TimePoint kNever = TimePoint::max();

/// The moment `seconds` from now; kNever when that lies beyond what the clock can say.
inline TimePoint deadline_in(double seconds) noexcept {
    const TimePoint now = Clock::now();
    const std::chrono::duration<double> room = kNever - now;
    if (!(seconds < room.count())) {
        return kNever;
    }
    return now +
           std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace gilpool::core
