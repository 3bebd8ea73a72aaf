// A group: tasks that are waited for together.
// One thread submits and waits; the tasks finish on any. Without the GIL.
#pragma once

#include <span>

#include "core/latch.hpp"
#include "core/pool.hpp"
#include "core/task.hpp"

namespace gilpool::core {

/// Counts its unfinished tasks and remembers them, so that the wait for all can run those that
/// nobody has begun instead of sleeping beside them. The tasks stay alive until that wait is over.
///
///     TaskGroup group(pool);
///     group.submit(left, Lane::cpu);
///     group.submit(right, Lane::cpu);
///     group.wait();
///
/// Thread safety: all members belong to one thread at a time.
///
/// Invariant: pending_ is the number of unfinished tasks plus unused_, which the submitting thread
/// has counted in advance: so submits meet the line that finishing tasks write once in kInAdvance
/// times, not each time. A wait gives back first what was not used.
class TaskGroup {
  public:
    explicit TaskGroup(Pool& pool) noexcept : pool_(pool) {}
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    /// submit() is Pool::submit() for a task of this group; a task is in one group at a time.
    bool submit(Task& task, Lane lane);

    /// submit_many() is Pool::submit_many(): one lock, one wake. Returns how many were accepted.
    std::size_t submit_many(std::span<Task* const> tasks, Lane lane);

    /// unfinished() returns how many of the tasks have not finished.
    std::size_t unfinished() const noexcept { return pending_.count() - unused_; }

    /// wait_until() blocks until every task has finished. Queued ones are run here, newest first
    /// (the workers take the oldest); with a deadline only if no worker can come for them.
    WaitResult wait_until(TimePoint deadline);

    /// wait() waits for as long as it takes, signals or not.
    WaitResult wait();

  private:
    friend class Task;

    static constexpr std::size_t kInAdvance = 1024;

    void count_in_advance(std::size_t tasks) noexcept;
    void help();

    Pool& pool_;
    std::size_t unused_ = 0;
    Task* newest_ = nullptr;  // submitted since the last complete wait, linked by next_in_group_
    // On a line of its own: the threads that finish tasks write it.
    alignas(64) Latch pending_;
};

}  // namespace gilpool::core
