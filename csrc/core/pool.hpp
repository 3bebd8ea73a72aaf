// The pool: one set of threads with two lanes, that grows when work would wait and shrinks to none.
// Any thread may call anything here; never with the GIL held where a comment says that it blocks.
#pragma once

#include <pthread.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/clock.hpp"
#include "core/stats.hpp"
#include "core/task.hpp"

namespace gilpool::core {

/// What a job is expected to do with its thread.
enum class Lane : std::uint8_t {
    cpu,       // computes: at most as many at once as there are cpu tokens
    blocking,  // waits: gets a thread of its own at once, up to the cap
};

/// What a client wants to be called for.
struct ThreadHooks {
    void (*on_exit)() = nullptr;  // on each worker before it ends, no lock held
};

/// What shutdown() does with jobs that no thread has begun.
enum class OnShutdown : std::uint8_t {
    drain,   // run them
    cancel,  // cancel the tasks, drop the posted jobs
};

struct PoolOptions {
    std::size_t cpu_tokens = 0;    // 0: usable_cores()
    std::size_t blocking_cap = 0;  // 0: thread_allowance()
    std::chrono::nanoseconds idle_timeout = std::chrono::seconds(10);
    /// How long a worker that ran out of work looks for more before it parks.
    std::chrono::nanoseconds search_spin = std::chrono::microseconds(1);
    /// The same if the last call came soon, and from another core: then a search pays.
    std::chrono::nanoseconds patient_search_spin = std::chrono::microseconds(50);
    std::size_t stack_size = 0;    // 0: the platform's default
    const char* name = "gilpool";  // of the threads, at most 15 characters
    /// How threads are made; tests put a failing one here.
    int (*create_thread)(pthread_t*, const pthread_attr_t*, void* (*)(void*),
                         void*) = &pthread_create;
};

/// Workers are plain pthreads with all signals blocked, until a job calls open_signals(). None
/// exists until the first job; the one that parked last is woken first; one that was idle for
/// `idle_timeout` ends.
///
/// Growth: a blocking job needs a thread of its own, cpu jobs need somebody on the way while a
/// token is free. "On the way" counts threads that are being created, woken or searching, and is
/// changed only under the pool's lock, so that neither too few nor too many are called. If the
/// system refuses a thread, fewer do the work; see ThreadShortage for who asks again.
///
/// Between a worker's entry and the job's function no frame catches exceptions, is noexcept, or has
/// a destructor: a job that ends its thread by pthread_exit() costs that thread and nothing else.
///
/// Fork: idle workers retire before it (not if an exit hook is set: the hook might need what the
/// forking thread holds, so its owner calls quiesce() in time). The child's pool is open, empty and
/// without threads; jobs that were queued or running are not run there, and their tasks read
/// `abandoned`.
///
/// Thread safety: all members may be called at the same time, also from jobs.
class Pool {
  public:
    using Function = Job::Function;

    /// process() returns the pool of this process. It is never destroyed: threads may outlive
    /// main().
    static Pool& process();

    explicit Pool(const PoolOptions& options = {});
    /// Runs what is queued and joins the workers, for as long as that takes.
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// post() has `function(context)` called once on a worker; false once the pool is closed. Never
    /// waits for a job or a thread. Throws std::bad_alloc, and then has not taken the job.
    bool post(Function function, void* context, Lane lane);

    /// post_many() posts jobs in order with one lock and one wake for each few hundred. Returns how
    /// many were taken: fewer only if the pool was closed or memory ran out.
    std::size_t post_many(std::span<const Job> jobs, Lane lane);

    /// submit() queues a fresh or finished task; false if the pool is closed or memory ran out.
    bool submit(Task& task, Lane lane);

    /// submit_many() does what post_many() does, for tasks.
    std::size_t submit_many(std::span<Task* const> tasks, Lane lane);

    /// can_run_queued() is false if nobody can come for a queued job before a running one ends: no
    /// worker is free and no thread can be made (if one is needed, that is tried now).
    bool can_run_queued();

    /// set_thread_hooks() sets the hooks of workers that end from now on.
    void set_thread_hooks(ThreadHooks hooks);

    /// resize() changes the number of cpu tokens and the blocking cap; 0 keeps what is. Jobs that
    /// run are left to finish.
    void resize(std::size_t cpu_tokens, std::size_t blocking_cap);

    /// quiesce() ends the workers that are idle, and those that become idle within 0.2 ms, and
    /// returns when they are gone for the kernel too; false if the deadline came first. Blocks.
    bool quiesce(TimePoint deadline);

    /// shutdown() closes the pool, deals with what is queued, and joins the workers. What has not
    /// ended by the deadline is left behind: queued tasks are cancelled, busy threads detached.
    /// Returns how many threads were. Idempotent; a worker that calls it does not wait for itself.
    /// Blocks.
    std::size_t shutdown(TimePoint deadline, OnShutdown policy = OnShutdown::drain);

    /// stats() returns a snapshot of one moment. Cheap: it holds the pool's lock for some dozens of
    /// nanoseconds (and a few for each core).
    PoolStats stats() const;

  private:
    friend class Task;
    friend class BlockingRegion;
    class Impl;

    /// take_back() claims a queued task and takes its entry out; false if somebody else has it.
    bool take_back(Task& task) noexcept;

    Impl* const impl_;
};

}  // namespace gilpool::core
