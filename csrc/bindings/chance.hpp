// bindings/chance.hpp: how the spare finds out when to ask for the GIL. Called by the spare, of
// which there is one, without the GIL.
#pragma once

#include <chrono>
#include <cstdint>

#include "core/clock.hpp"

namespace gilpool::bindings {

enum class Chance : std::uint8_t {
    none,          ///< nothing is queued any more
    at_gil,        ///< wait for the GIL: who holds it is about to block
    seen_free,     ///< take the GIL: it has been free for a while
    beside_other,  ///< wait for the GIL: a thread that is not ours has it, and no runner wants it
    admitted       ///< wait for the GIL: the head of the queue has waited long enough
};

/// Waits, without the GIL, until there is reason to take it; `since` is when the waiting began.
Chance await_chance(core::TimePoint since);

/// What a look at the GIL found. Promised: free, but a runner is about to take it.
enum class Sight : std::uint8_t { free, promised, held_by_runner, held_by_other };

/// The GIL has been let go to one of its waiters: a runner as soon as one has it, somebody else if
/// they keep it for a while, free if nobody comes for it any more. Takes a millisecond at most.
Sight see_who_stays();

/// Sleeps for `length` unless hurry_spare() comes.
void nap(std::chrono::nanoseconds length);

/// The longest that a spare naps.
inline constexpr std::chrono::microseconds kLongestNap{2'000};

}  // namespace gilpool::bindings
