// Latch: a lock-free count with a locked last step.
#include "core/latch.hpp"

#include "core/blocking_region.hpp"

namespace gilpool::core {

void Latch::add(std::size_t more) noexcept {
    generation_.store(fork_generation(), std::memory_order_relaxed);
    // Relaxed: who adds has something of its own to count down, and that is published elsewhere.
    count_.fetch_add(more, std::memory_order_relaxed);
}

void Latch::count_down(std::size_t less) noexcept {
    std::size_t seen = count_.load(std::memory_order_relaxed);
    while (seen > less) {
        // Release: what was done before this count is visible to who sees zero, because the steps
        // of the others are read-modify-writes that continue this release sequence.
        if (count_.compare_exchange_weak(seen, seen - less, std::memory_order_release,
                                         std::memory_order_relaxed)) {
            return;
        }
    }
    WaitList::Section waiters(waiters_);
    if (count_.fetch_sub(less, std::memory_order_acq_rel) == less) {
        waiters.notify_all();
    }
}

WaitResult Latch::wait_until(TimePoint deadline) {
    ThreadWaiter waiter;
    {
        // Through the lock even when the count is zero: see the invariant.
        WaitList::Section waiters(waiters_);
        if (count() == 0) {
            return WaitResult::finished;
        }
        if (generation_.load(std::memory_order_relaxed) != fork_generation()) {
            return WaitResult::abandoned;
        }
        waiters.add(waiter);
    }
    ParkResult parked;
    {
        BlockingRegion region;
        parked = waiter.wait_until(deadline);
    }
    if (parked == ParkResult::unparked || !waiters_.remove(waiter)) {
        return WaitResult::finished;
    }
    return parked == ParkResult::interrupted ? WaitResult::interrupted : WaitResult::timed_out;
}

WaitResult Latch::wait() {
    while (true) {
        const WaitResult result = wait_until(kNever);
        if (result == WaitResult::finished || result == WaitResult::abandoned) {
            return result;
        }
    }
}

}  // namespace gilpool::core
