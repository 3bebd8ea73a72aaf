// core/futex.hpp: waiting on a 32-bit word with an absolute deadline, which std::atomic::wait
// lacks. Any thread, with or without the GIL; a word must outlive the calls on it.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/clock.hpp"

namespace gilpool::core {

enum class FutexResult {
    woken,       ///< woken, or the word no longer held the expected value
    timed_out,   ///< the deadline passed
    interrupted  ///< a signal handler ran on this thread
};

/// Blocks while `word` holds `expected`, until woken, `deadline`, or a signal.
FutexResult futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       TimePoint deadline) noexcept;

/// Wakes up to `count` threads that block on `word`.
void futex_wake(const std::atomic<std::uint32_t>& word, int count) noexcept;

}  // namespace gilpool::core
