// A counter that threads can wait on to reach zero.
// Any thread, without the GIL; own tiny lock, taken only by the last count and by who must sleep.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/clock.hpp"
#include "core/task.hpp"
#include "core/waiters.hpp"

namespace gilpool::core {

/// Thread safety: all members may be called at the same time. A latch may be destroyed as soon as a
/// wait on it has returned `finished`.
///
/// Invariant: the count becomes zero only under the list's lock; other counts are one atomic step.
/// So who sees zero and then passes through the lock knows that the last counter has left.
class Latch {
  public:
    explicit Latch(std::size_t count = 0) noexcept
        : count_(count), generation_(fork_generation()) {}

    /// add() raises the count, also from zero.
    void add(std::size_t more) noexcept;

    /// count_down() lowers it by at most what is left, and wakes the waiters at zero.
    void count_down(std::size_t less = 1) noexcept;

    /// count() returns what is left.
    std::size_t count() const noexcept { return count_.load(std::memory_order_acquire); }

    /// wait_until() blocks until the count is zero, the deadline passes or a signal handler runs.
    /// On a worker it is a blocking region. `abandoned`: counts are missing that only the parent of
    /// this process could have given.
    WaitResult wait_until(TimePoint deadline);

    /// wait() waits for as long as it takes, signals or not.
    WaitResult wait();

  private:
    std::atomic<std::size_t> count_;
    std::atomic<std::uint32_t> generation_;  // of the last add() from zero
    WaitList waiters_;
};

}  // namespace gilpool::core
