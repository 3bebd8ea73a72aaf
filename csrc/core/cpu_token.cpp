// CpuToken: a small array whose two ends are one word; tasks leave it under a tiny lock.
#include "core/cpu_token.hpp"

#include <mutex>

namespace gilpool::core {

bool CpuToken::pop_locked(Job& job) noexcept {
    std::lock_guard guard(lock_);
    std::uint32_t seen = range_.load(std::memory_order_acquire);
    while (!empty(seen)) {
        job = jobs_[begin_of(seen)].load();
        if (!Task::is_entry(job)) {
            if (range_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire)) {
                return true;
            }
            continue;
        }
        // Nobody else changes the word now: see the invariant.
        range_.store(++seen, std::memory_order_relaxed);
        if (!empty(seen)) {
            // The next task was written on another core; its line travels while this one runs.
            __builtin_prefetch(jobs_[begin_of(seen)].load().context, 1);
        }
        if (Task::of_entry(job).claim()) {
            return true;
        }
    }
    return false;
}

bool CpuToken::fill(const Job* batch, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
        jobs_[i].store(batch[i]);
    }
    range_.store(range_of(0, static_cast<std::uint32_t>(count)), std::memory_order_release);
    return count != 0;
}

bool CpuToken::steal_from(CpuToken& victim) noexcept {
    std::uint32_t first = 0;
    std::uint32_t end = 0;
    {
        std::lock_guard guard(victim.lock_);
        std::uint32_t seen = victim.range_.load(std::memory_order_relaxed);
        do {
            end = end_of(seen);
            first = begin_of(seen) + (end - begin_of(seen)) / 2;
        } while (!victim.range_.compare_exchange_weak(seen, range_of(begin_of(seen), first),
                                                      std::memory_order_relaxed));
    }
    // Its holder may pop what is left but not refill it, which takes the pool's lock.
    for (std::uint32_t i = first; i < end; ++i) {
        jobs_[i - first].store(victim.jobs_[i].load());
    }
    range_.store(range_of(0, end - first), std::memory_order_release);
    return end != first;
}

bool CpuToken::erase(const void* context) noexcept {
    std::lock_guard guard(lock_);
    std::uint32_t seen = range_.load(std::memory_order_relaxed);
    std::uint32_t i = begin_of(seen);
    const auto is_it = [&] {
        const Job job = jobs_[i].load();
        return Task::is_entry(job) && job.context == context;
    };
    while (i < end_of(seen) && !is_it()) {
        ++i;
    }
    if (i == end_of(seen)) {
        return false;
    }
    // Empty for as long as entries move: who would pop now finds nothing, and then queues for the
    // pool's lock. The entry itself cannot have been popped: it is a task.
    seen = range_.exchange(0, std::memory_order_relaxed);
    const std::uint32_t end = end_of(seen) - 1;
    for (; i < end; ++i) {
        jobs_[i].store(jobs_[i + 1].load());
    }
    range_.store(range_of(begin_of(seen), end), std::memory_order_release);
    return true;
}

}  // namespace gilpool::core
