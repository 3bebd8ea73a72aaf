// The inside of Pool: what its lock guards, and the rules by which threads are called and let go.
// Names ending in _locked are called with lock_ held. Lock order: lock_, a token's lock; lock_, a
// wait list's lock.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "core/cpu_token.hpp"
#include "core/intake.hpp"
#include "core/job_queue.hpp"
#include "core/pool.hpp"
#include "core/stats.hpp"
#include "core/tiny_lock.hpp"
#include "core/waiters.hpp"
#include "core/worker.hpp"

namespace gilpool::core {

/// Invariant of growth (holds whenever lock_ is free): if a cpu job waits and a token is free,
/// somebody is on the way; for each blocking job below the cap, somebody is on the way; unless the
/// system has refused a thread: then every worker looks at the queues before it parks, and there is
/// a ThreadShortage, which asks again for who is missing.
///
/// Invariant of parking: a worker enters the idle stack in the same critical section in which it
/// found nothing to do, and leaves it only by the hand of who wakes it (who counts it as on the way
/// from that moment) or of itself when its time is out. A job is queued under the same lock, so it
/// is either seen by the worker or sees the worker idle. The wake itself is a permit (Parker),
/// which does not mind coming before the sleep.
///
/// Invariant of posting: a cpu job is posted into the intake, without lock_, and its poster calls
/// nobody unless the intake asks for it. The intake asks whenever lock_ is free, nobody is on the
/// way and a token is free. Who makes that true (the last one on the way arrives, parks, leaves or
/// cannot be made; or a token comes back) asks in the same critical section, and learns by that
/// whether a job has come before (Intake): if so, it calls somebody, or stays itself. Otherwise a
/// job is found without a call: who is on the way looks before it rests, and so does who holds a
/// token.
/// That the intake asks without need costs a poster a look under lock_, and ends by that.
///
/// Order: what is in the queue is older than what is in the intake, for each thread that posts and
/// submits: it moves its posts to the queue before it submits (queue_posted), and the queue is
/// emptied before the intake.
class Pool::Impl {
  public:
    explicit Impl(const PoolOptions& options);

    // pool_intake.cpp: work comes in
    bool post(Job job, Lane lane);
    std::size_t post_many(std::span<const Job> jobs, Lane lane);
    std::size_t submit_many(Pool& owner, std::span<Task* const> tasks, Lane lane);
    bool take_back(Task& task) noexcept;
    bool can_run_queued();

    // pool.cpp: what can be set and asked
    void resize(std::size_t cpu_tokens, std::size_t blocking_cap);
    PoolStats stats() noexcept;
    void set_thread_hooks(ThreadHooks hooks) noexcept;

    // pool_worker.cpp: work goes out
    static void* worker_main(void* worker);
    static void thread_is_gone(void* worker);

    // pool_lanes.cpp: tokens are held and lent
    void enter_region(Worker& me);
    void leave_region(Worker& me);

    // pool_shutdown.cpp, pool_fork.cpp: threads are let go
    bool quiesce(TimePoint deadline);
    std::size_t shutdown(TimePoint deadline, OnShutdown policy);
    void join_forks();
    void leave_forks();

  private:
    /// Whom to call once the lock is free.
    struct Calls {
        static constexpr int kMost = 2;
        Worker* wake[kMost];
        int wakes = 0;
        int creations = 0;
        /// By who holds registry_lock, which comes after the reactor's lock.
        bool amid_all_pools = false;
    };

    JobQueue& queue(Lane lane) noexcept { return lane == Lane::cpu ? cpu_ : blocking_; }
    std::size_t most_threads_locked() const noexcept { return token_limit_ + blocking_cap_; }

    template <class Push>
    std::size_t push_many(std::size_t count, Lane lane, Push push);

    // pool.cpp
    std::size_t queued_cpu_locked() const noexcept;

    // pool_intake.cpp
    bool post_cpu(Job job);
    bool post_blocking(Job job);
    void call_for_posted();
    /// Moves some jobs from the intake to the queue; false if there was none that could be moved.
    /// Throws std::bad_alloc, and then has moved none.
    bool queue_some_posted();
    /// Moves all that the calling thread has posted; false if memory ran out.
    bool queue_posted() noexcept;
    /// Whether a cpu job waits; the first one in `begun` does not count, since its holder is about
    /// to run it.
    bool cpu_work_locked(const CpuToken* begun = nullptr) const noexcept;
    bool can_create_locked() const noexcept;
    /// How many should be on the way, by the invariant of growth.
    std::size_t wanted_locked(const CpuToken* begun = nullptr) const noexcept;
    /// Whom to call so that the invariant of growth holds, at most `most` of them.
    Calls plan_calls_locked(int most, const CpuToken* begun = nullptr,
                            bool may_create = true) noexcept;
    /// Has the intake ask for calls, or not; true if a job came before that and nobody is wanted
    /// yet.
    bool tell_posters_locked(std::size_t wanted) noexcept;
    void carry_out(const Calls& calls);
    Worker* pop_idle_locked() noexcept;

    // pool_worker.cpp
    static void set_end_of_thread(Worker* worker) noexcept;
    bool begin(Worker& me);
    void work(Worker& me);
    bool next_job(Worker& me, Job& job);
    bool find_job(Worker& me, Job& job);
    void search(const Worker& me) noexcept;
    void call_searchers_locked() noexcept;
    void begin_search_locked(Worker& me) noexcept;
    void end_search_locked(Worker& me) noexcept;
    /// Whether a worker that found nothing may park or leave: others will look, or will be called.
    bool may_rest_locked(const Worker& me) noexcept;
    bool park(Worker& me);
    void push_idle_locked(Worker& me) noexcept;
    void remove_idle_locked(Worker& me) noexcept;

    // pool_lanes.cpp
    bool take_cpu_locked(Worker& me) noexcept;
    bool take_blocking_locked(Job& job) noexcept;
    bool blocking_first_locked(const Worker& me) const noexcept;
    CpuToken* acquire_token_locked() noexcept;
    void release_token_locked(Worker& me) noexcept;
    /// Keeps the counts while a worker changes its phase (and, when it runs, its lane).
    void move_locked(Worker& me, Worker::Phase phase, Lane lane = Lane::cpu) noexcept;

    // pool_threads.cpp
    void create_worker(bool amid_all_pools);
    static bool ask_for_missing_threads();
    void ask_for_missing_thread();
    void link_locked(Worker& me) noexcept;
    void unlink_locked(Worker& me) noexcept;
    void end(Worker& me);
    void leave(Worker& me);
    /// False if the others that have left are to be joined first.
    bool try_leave(Worker& me);
    enum class Exited : std::uint8_t { that_have_ended, all };
    /// Joins and frees threads that have left; `all` waits for them.
    void free_exited(Exited which);

    // pool_shutdown.cpp
    Worker* retire_idle_locked() noexcept;
    static void wake_chain(Worker* first) noexcept;
    bool wait_for_exits(TimePoint deadline, bool (Impl::*enough)() const noexcept);
    bool none_retiring_locked() const noexcept { return retiring_ == 0; }
    bool retire_free_workers(TimePoint deadline);
    bool may_still_retire() noexcept;
    void wait_for_posters() noexcept;
    void cancel_queued();
    bool pop_any_locked(Job& job) noexcept;
    std::size_t abandon_locked(const Worker* self) noexcept;

    // pool_fork.cpp
    bool none_free_locked() const noexcept;
    void prepare_fork();
    void continue_in_parent();
    void start_anew_in_child();

    /// All pools of the process, for fork(); guarded by registry_lock, which comes before lock_.
    static TinyLock registry_lock;
    static Impl* registry;
    Impl* next_pool_ = nullptr;
    Impl* previous_pool_ = nullptr;

    const PoolOptions options_;

    /// Not guarded by lock_ as far as posters are concerned.
    Intake intake_;

    // All that follows is guarded by lock_. Who queues a job needs the first two lines and the slot
    // it fills, and nothing else: between cores each line is a journey.
    alignas(64) TinyLock lock_;
    bool closed_ = false;
    bool searchers_called_ = false;
    std::size_t on_the_way_ = 0;
    std::size_t searching_ = 0;  // of these, who spin
    std::size_t held_tokens_ = 0;
    std::size_t token_limit_ = 0;
    std::size_t blocking_running_ = 0;  // blocking jobs, and cpu jobs in a region
    std::size_t blocking_cap_ = 0;
    CpuToken* free_loaded_ = nullptr;  // free tokens that hold jobs
    alignas(64) JobQueue cpu_;
    alignas(64) JobQueue blocking_;

    int quiescing_ = 0;  // who would become idle retires instead
    CpuToken* free_empty_ = nullptr;
    std::vector<std::unique_ptr<CpuToken>> tokens_;

    Worker* workers_ = nullptr;  // all that have not left
    Worker* idle_top_ = nullptr;
    std::size_t threads_ = 0;  // on the way, running or idle
    std::size_t running_ = 0;
    std::size_t blocked_ = 0;  // of these, who are in a region
    std::size_t idle_ = 0;
    std::size_t retiring_ = 0;
    TimePoint no_thread_until_ = TimePoint::min();  // the system refused one
    ThreadHooks hooks_;
    Worker* exited_ = nullptr;  // have left, and are yet to be joined and freed
    std::size_t unjoined_ = 0;  // of these, also those that somebody is joining at this moment
    WaitList exits_;            // who waits for threads to end

    std::uint64_t executed_ = 0;
    std::uint64_t taken_back_ = 0;
    std::uint64_t dropped_ = 0;
    std::uint64_t grown_ = 0;
    std::uint64_t retired_ = 0;
    std::uint64_t refused_ = 0;
    std::uint64_t wakeups_ = 0;
    std::uint64_t stolen_ = 0;
    std::size_t abandoned_ = 0;

    /// What searchers look at, on a line of its own: it is written once for each search, and not by
    /// each post as what lock_ guards is. A hint, not part of the protocol of parking: who has seen
    /// it, or has given up, looks at the queues under the lock.
    alignas(64) std::atomic<bool> look_again_{false};
};

}  // namespace gilpool::core
