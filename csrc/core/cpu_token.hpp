// The right to run cpu jobs on one core, with the few jobs its holder has taken from the queue.
// Lock order: the pool's lock, then a token's; entries enter a token only under both.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/job_queue.hpp"
#include "core/task.hpp"
#include "core/tiny_lock.hpp"

namespace gilpool::core {

/// As many tokens are held at once as cores are usable. The holder takes jobs by the batch, to meet
/// the pool's lock once per batch; what it has not begun can be stolen, cancelled and waited for
/// like anything queued, and stays with the token when its holder blocks and lends it.
class alignas(64) CpuToken {
  public:
    static constexpr std::uint32_t kMostJobs = 16;

    /// pop() gives the oldest job to the holder; a task is claimed on the way, under the lock, so
    /// that no entry is ever read after its task has been taken back.
    bool pop(Job& job) noexcept;

    /// refill() takes up to a batch from the queue; the token is empty. Under the pool's lock.
    bool refill(JobQueue& queue) noexcept;

    /// steal_from() takes the newer half of another token's jobs, at least one; false if there is
    /// none. The token is empty. Under the pool's lock.
    bool steal_from(CpuToken& victim) noexcept;

    /// erase() takes out the entry of this task, if it is here. Under the pool's lock. When it
    /// returns, a pop() that began before has ended.
    bool erase(const void* context) noexcept;

    /// forget() empties the token without a look at the jobs: they belong to a parent process.
    void forget() noexcept { set_range(0, 0); }

    /// size() is how many jobs are here; a hint while others may pop.
    std::uint32_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

    TinyLock& lock() noexcept { return lock_; }

    CpuToken* next_free = nullptr;  // guarded by the pool's lock
    bool loaded = false;            // likewise: it was given back with jobs in it

  private:
    void set_range(std::uint32_t begin, std::uint32_t end) noexcept {
        begin_ = begin;
        end_ = end;
        size_.store(end - begin, std::memory_order_relaxed);
    }

    TinyLock lock_;
    std::atomic<std::uint32_t> size_{0};
    std::uint32_t begin_ = 0;  // jobs_[begin_, end_) are here
    std::uint32_t end_ = 0;
    Job jobs_[kMostJobs];
};

}  // namespace gilpool::core
