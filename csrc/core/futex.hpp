// How a thread sleeps until a 32-bit word changes: the only door to the kernel's wait queues.
// Any thread, no lock needed; takes addresses, never reads a word it was not asked to compare.
#pragma once

#include <atomic>
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

}  // namespace gilpool::core
