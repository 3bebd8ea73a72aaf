// The right to run cpu jobs on one core, with the few jobs its holder has taken from the queue.
// Lock order: the pool's lock, then a token's; entries enter a token only under the pool's lock.
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
///
/// Invariant: jobs_[begin, end) are here, and both ends are one word. A posted job leaves by one
/// CAS on that word, without a lock. That is safe from ABA: a slot in the range is written only by
/// erase(), which changes `end` for good, and refill() comes when the range is empty, under the
/// pool's lock, by the holder, who pops nothing meanwhile. A task leaves under lock_, because its
/// popper goes on to touch it: so who has passed through lock_ after it took a task back knows that
/// no popper looks at it. Who holds lock_ may therefore store the word while the first entry is a
/// task, and changes it by CAS or exchange otherwise.
///
/// Memory order: slots and word are written under the pool's lock or by refill()'s release; a pop
/// acquires the word before it reads the slot.
class alignas(64) CpuToken {
  public:
    static constexpr std::uint32_t kMostJobs = 64;

    /// pop() gives the oldest job to the holder; a task is claimed on the way, under the lock, so
    /// that no entry is ever read after its task has been taken back.
    bool pop(Job& job) noexcept {
        std::uint32_t seen = range_.load(std::memory_order_acquire);
        while (!empty(seen)) {
            job = jobs_[begin_of(seen)].load();
            if (Task::is_entry(job)) {
                return pop_locked(job);
            }
            if (range_.compare_exchange_weak(seen, seen + 1, std::memory_order_acquire)) {
                return true;
            }
        }
        return false;
    }

    /// refill() takes up to a batch from a queue; the token is empty. Under the pool's lock.
    template <class Queue>
    bool refill(Queue& queue) noexcept {
        Job batch[kMostJobs];
        return fill(batch, queue.pop(batch, kMostJobs));
    }

    /// steal_from() takes the newer half of another token's jobs, at least one; false if there is
    /// none. The token is empty. Under the pool's lock.
    bool steal_from(CpuToken& victim) noexcept;

    /// erase() takes out the entry of this task, if it is here. Under the pool's lock. When it
    /// returns, a pop() that began before has ended its look at the task.
    bool erase(const void* context) noexcept;

    /// forget() empties the token without a look at the jobs: they belong to a parent process.
    void forget() noexcept { range_.store(0, std::memory_order_relaxed); }

    /// size() is how many jobs are here; a hint while others may pop.
    std::uint32_t size() const noexcept {
        const std::uint32_t seen = range_.load(std::memory_order_relaxed);
        return end_of(seen) - begin_of(seen);
    }

    TinyLock& lock() noexcept { return lock_; }

    CpuToken* next_free = nullptr;  // guarded by the pool's lock
    bool loaded = false;            // likewise: it was given back with jobs in it

  private:
    /// A job that a popper may read while erase() moves another one to its place. The popper's CAS
    /// fails then, so it does not matter that it may have read half of each.
    class Slot {
      public:
        Job load() const noexcept {
            return {function_.load(std::memory_order_relaxed),
                    context_.load(std::memory_order_relaxed)};
        }
        void store(const Job& job) noexcept {
            function_.store(job.function, std::memory_order_relaxed);
            context_.store(job.context, std::memory_order_relaxed);
        }

      private:
        std::atomic<Job::Function> function_{nullptr};
        std::atomic<void*> context_{nullptr};
    };

    static constexpr int kEndShift = 16;
    static std::uint32_t begin_of(std::uint32_t range) noexcept {
        return range & ((1U << kEndShift) - 1);
    }
    static std::uint32_t end_of(std::uint32_t range) noexcept { return range >> kEndShift; }
    static bool empty(std::uint32_t range) noexcept { return begin_of(range) == end_of(range); }
    static std::uint32_t range_of(std::uint32_t begin, std::uint32_t end) noexcept {
        return end << kEndShift | begin;
    }

    bool pop_locked(Job& job) noexcept;
    bool fill(const Job* batch, std::size_t count) noexcept;

    TinyLock lock_;
    std::atomic<std::uint32_t> range_{0};
    Slot jobs_[kMostJobs];
};

}  // namespace gilpool::core
