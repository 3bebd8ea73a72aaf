// How a thread sleeps until a 32-bit word changes: the only door to the kernel's wait queues.
// Any thread, no lock needed; takes addresses, never reads a word it was not asked to compare.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/clock.hpp"

namespace gilpool::core {

/// Why futex_wait() came back.
enum class FutexResult : std::uint8_t {
    woken,        // a wake, a changed word, or no reason at all: look at the word again
    timed_out,    // the deadline passed
    interrupted,  // a signal handler ran in this thread
};

/// futex_wait() sleeps while `word` equals `expected`, until woken or until `deadline` on the
/// monotonic clock. May return `woken` for no reason.
FutexResult futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       TimePoint deadline) noexcept;

/// futex_wake() wakes up to `count` threads that sleep on this address. It uses the address only:
/// the word may be gone already, and whoever sleeps there by then sees a wake without a reason.
void futex_wake(const std::atomic<std::uint32_t>* word, int count) noexcept;

/// futex_expect_sleepers() is told that so many threads may sleep at once. Linux 6.17 and newer
/// sort a process's sleepers into a table of its own, which has as few as 16 places where there are
/// two cores: with thousands of sleepers each wake would pass by hundreds of them, 30 us and more,
/// and threads that wait with a time-out (for the GIL, say) would be busy with nothing else. Has no
/// effect elsewhere, nor if somebody has chosen a table already. 15 us in a process that had one
/// thread until now, tens of milliseconds in others.
void futex_expect_sleepers(std::size_t threads) noexcept;

}  // namespace gilpool::core
