// CpuToken: a small array under a tiny lock that its holder nearly always finds free.
#include "core/cpu_token.hpp"

#include <algorithm>
#include <mutex>

namespace gilpool::core {

bool CpuToken::pop(Job& job) noexcept {
    std::lock_guard guard(lock_);
    while (begin_ < end_) {
        job = jobs_[begin_];
        set_range(begin_ + 1, end_);
        if (!Task::is_entry(job)) {
            return true;
        }
        if (begin_ < end_) {
            // The next task was written on another core; its line travels while this one runs.
            __builtin_prefetch(jobs_[begin_].context, 1);
        }
        if (Task::of_entry(job).claim()) {
            return true;
        }
    }
    return false;
}

bool CpuToken::refill(JobQueue& queue) noexcept {
    std::lock_guard guard(lock_);
    set_range(0, static_cast<std::uint32_t>(queue.pop(jobs_, kMostJobs)));
    return end_ != 0;
}

bool CpuToken::steal_from(CpuToken& victim) noexcept {
    // Two tokens are locked together only here, and here only under the pool's lock: no cycle.
    std::lock_guard guard_victim(victim.lock_);
    std::lock_guard guard(lock_);
    const std::uint32_t theirs = (victim.end_ - victim.begin_) / 2;
    const std::uint32_t first = victim.begin_ + theirs;
    std::copy(victim.jobs_ + first, victim.jobs_ + victim.end_, jobs_);
    set_range(0, victim.end_ - first);
    victim.set_range(victim.begin_, first);
    return end_ != 0;
}

bool CpuToken::erase(const void* context) noexcept {
    std::lock_guard guard(lock_);
    Job* const end = jobs_ + end_;
    Job* const entry = std::find_if(jobs_ + begin_, end, [&](const Job& job) {
        return Task::is_entry(job) && job.context == context;
    });
    if (entry == end) {
        return false;
    }
    std::copy(entry + 1, end, entry);
    set_range(begin_, end_ - 1);
    return true;
}

}  // namespace gilpool::core
