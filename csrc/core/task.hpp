// A task: a unit of native work that its owner can wait for, take back or cancel.
// Any thread, without the GIL; the owner keeps the object alive until it is finished.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "core/clock.hpp"
#include "core/job_queue.hpp"
#include "core/waiters.hpp"

namespace gilpool::core {

class Pool;
class Task;
class TaskGroup;
enum class Lane : std::uint8_t;
struct AnyFinished;

enum class TaskState : std::uint8_t {
    fresh,      // not submitted yet
    queued,     // in a pool's queue: cancel() and run_here() succeed
    claimed,    // one thread has it, and will finish it
    done,       // the function has returned
    cancelled,  // it will never be called
    abandoned,  // submitted before a fork, or its thread ended inside it: nobody will finish it
};

/// How a wait ended.
enum class WaitResult : std::uint8_t {
    finished,     // what was waited for has happened
    timed_out,    // the deadline passed first
    interrupted,  // a signal handler ran in this thread
    abandoned,    // it will never happen: it was begun before a fork
};

/// An intrusive task: embed it, or derive from it to give the function its data.
///
///     struct Square : Task {
///         Square() : Task([](Task& self) { auto& s = static_cast<Square&>(self); s.n *= s.n; }) {}
///         int n = 7;
///     } square;
///     pool.submit(square, Lane::cpu);
///     square.wait();                     // 49: run by a worker, or by this very wait
///
/// Protocol. The state is one word: `fresh|done|cancelled -> queued -> claimed -> done|cancelled`.
/// *Only the CAS queued -> claimed gives the right to run or cancel*, so of worker, waiter and
/// canceller exactly one gets it. A pool touches a task only (a) under the lock of the container
/// that holds its entry, or (b) after it has claimed it. Who claims without popping the entry takes
/// the entry out before it finishes the task; so nothing is touched after a task is finished. For
/// the same reason cancel() passes through `claimed`: `cancelled` is published once the entry is
/// gone.
///
/// Memory order. submit() publishes the task by the lock of the queue; a claim is acq_rel: acquire,
/// to see what the submitter wrote if the claimer did not come through that lock, release because
/// the word also carries the waiters' bit of whoever set it. The last change of the word is a
/// release and state() acquires, so who sees a task finished sees what its function wrote.
///
/// The word also holds the fork generation of its submit: in a child, a task that had not finished
/// reads as `abandoned` without anybody having to find it.
///
/// Thread safety: all members except submit (one submitter at a time, and not while queued).
class Task {
  public:
    using Function = void (*)(Task& self);

    explicit Task(Function function) noexcept : function_(function) {}
    /// A task may be destroyed while it is fresh or finished, at once after either is seen.
    ~Task();
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;

    /// state() returns the state at this moment.
    TaskState state() const noexcept { return state_in(word_.load(std::memory_order_acquire)); }

    /// finished() is true once the task is done, cancelled or abandoned.
    bool finished() const noexcept { return state() >= TaskState::done; }

    /// cancel() takes the task out of its queue; true if this call did it, false if somebody had
    /// begun it (or it was never queued). O(1); the count of queued tasks is exact when it returns.
    bool cancel() noexcept;

    /// run_here() runs the task on the calling thread if it is still queued; true if it did.
    bool run_here();

    /// wait_until() returns when the task is finished, or the deadline has passed, or a signal
    /// handler has run. A queued task is run here and now; with a deadline only if no worker can
    /// come for it, since it could take longer than that. Otherwise the wait is a blocking region.
    WaitResult wait_until(TimePoint deadline);

    /// wait() waits for as long as it takes, signals or not.
    WaitResult wait();

    /// add_waiter() has the waiter told when the task finishes; false if it has finished already
    /// (then the waiter is not added). A fresh task keeps its waiters until it has been submitted.
    bool add_waiter(Waiter& waiter) noexcept;

    /// remove_waiter() is WaitList::remove() for a waiter of this task.
    bool remove_waiter(Waiter& waiter) noexcept { return waiters_.remove(waiter); }

  private:
    friend class CpuToken;
    friend class Pool;
    friend class TaskGroup;
    friend AnyFinished wait_any(std::span<Task* const> tasks, TimePoint deadline);

    static constexpr std::uint32_t kStateMask = 7;
    static constexpr std::uint32_t kHasWaiters = 8;
    static constexpr int kGenerationShift = 4;

    static TaskState state_in(std::uint32_t word) noexcept;
    /// claim() moves queued -> claimed; false if it was not queued.
    bool claim() noexcept;
    /// finish() publishes the outcome and tells the waiters; the task may be gone when it returns.
    void finish(TaskState outcome) noexcept;
    /// enqueue() moves a fresh or finished task to queued, under the lock of the queue.
    void enqueue() noexcept;
    /// run_claimed() calls the function and finishes the task.
    void run_claimed();

    /// A task in a queue is the job `entry(&task)`.
    static void entry(void* context) { static_cast<Task*>(context)->run_claimed(); }
    static bool is_entry(const Job& job) noexcept { return job.function == &Task::entry; }
    static Task& of_entry(const Job& job) noexcept { return *static_cast<Task*>(job.context); }

    std::atomic<std::uint32_t> word_{0};
    Lane lane_{};
    Function function_;
    Pool* pool_ = nullptr;  // where it was submitted last
    JobQueue::Place place_;
    WaitList waiters_;
    TaskGroup* group_ = nullptr;  // told after the waiters
    Task* next_in_group_ = nullptr;
};

/// wait_all() waits until every task has finished; each is run here if still queued, as by
/// Task::wait_until().
WaitResult wait_all(std::span<Task* const> tasks, TimePoint deadline);

/// What wait_any() found.
struct AnyFinished {
    WaitResult result;
    std::size_t index;  // of the task that has finished, or is abandoned
};

/// wait_any() waits until at least one task has finished; at least one must be given. If no worker
/// can come, it runs the first that is queued.
AnyFinished wait_any(std::span<Task* const> tasks, TimePoint deadline);

}  // namespace gilpool::core
