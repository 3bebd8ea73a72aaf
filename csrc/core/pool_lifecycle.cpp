// How the pool's threads come and go: creation, retirement, quiescence, shutdown, fork.
// See pool_impl.hpp for the lock and the invariants.
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "core/blocking_region.hpp"
#include "core/fork.hpp"
#include "core/limits.hpp"
#include "core/pool_impl.hpp"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace gilpool::core {

namespace {

/// How long a refusal of the system to make a thread is believed.
constexpr std::chrono::milliseconds kRefusalTime{10};

/// How long quiesce() gives jobs that run to end: who has just been told that its job is done, and
/// forks, means the pool to be idle, although the worker has some instructions to go.
constexpr std::chrono::microseconds kQuiesceGrace{200};

/// How long a fork waits for idle workers to end; they need some microseconds each.
constexpr std::chrono::milliseconds kForkPatience{200};

long kernel_id_of_this_thread() noexcept {
#if defined(__linux__)
    return syscall(SYS_gettid);
#else
    return 0;
#endif
}

/// A joined thread is still counted by the kernel for some microseconds, and Python 3.12+ counts
/// threads when it forks: wait until its id means nothing any more.
void wait_until_unknown_to_kernel(long kernel_id) noexcept {
#if defined(__linux__)
    constexpr int kMostLooks = 1'000;  // an id can be reused at once by another thread of ours
    for (int look = 0; look < kMostLooks; ++look) {
        if (syscall(SYS_tgkill, getpid(), kernel_id, 0) != 0) {
            return;
        }
        sched_yield();
    }
#else
    static_cast<void>(kernel_id);
#endif
}

}  // namespace

TinyLock Pool::Impl::registry_lock;
Pool::Impl* Pool::Impl::registry = nullptr;

// ---- a pool -------------------------------------------------------------------------------------

Pool::Impl::Impl(const PoolOptions& options) : options_(options) {
    resize(options.cpu_tokens != 0 ? options.cpu_tokens : usable_cores(),
           options.blocking_cap != 0 ? std::min(options.blocking_cap, kMostThreads)
                                     : thread_allowance());
}

// ---- one thread ---------------------------------------------------------------------------------

void Pool::Impl::create_worker() {
    auto* const worker = new (std::nothrow) Worker(this);
    int error = ENOMEM;
    if (worker != nullptr) {
        {
            std::lock_guard guard(lock_);
            link_locked(*worker);
        }
        // The mask is inherited, so that no signal can reach the thread even in its first
        // instruction. Faults stay open: the kernel sends them to the thread that caused them, and
        // blocked they kill without the crash report that a handler would print.
        sigset_t all, before;
        sigfillset(&all);
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
            sigdelset(&all, fault);
        }
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        if (options_.stack_size != 0) {
            pthread_attr_setstacksize(&attributes, options_.stack_size);
        }
        pthread_t handle;
        error = options_.create_thread(&handle, &attributes, &Impl::worker_main, worker);
        pthread_attr_destroy(&attributes);
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    if (error == 0) {
        return;
    }
    // Fewer threads, then. The job stays queued: who is parked by now is called instead, who runs
    // will look at the queue, and without any thread the next post, wait or shutdown tries again.
    Calls calls;
    {
        std::lock_guard guard(lock_);
        if (worker != nullptr) {
            unlink_locked(*worker);
        }
        --threads_;
        --on_the_way_;
        ++refused_;
        no_thread_until_ = deadline_after(std::chrono::steady_clock::now(), kRefusalTime);
        calls = plan_calls_locked(Calls::kMost, nullptr, false);
        exits_.notify_all();
    }
    delete worker;
    carry_out(calls);
}

void Pool::Impl::link_locked(Worker& me) noexcept {
    me.next = workers_;
    if (workers_ != nullptr) {
        workers_->previous = &me;
    }
    workers_ = &me;
}

void Pool::Impl::unlink_locked(Worker& me) noexcept {
    if (me.next != nullptr) {
        me.next->previous = me.previous;
    }
    (me.previous != nullptr ? me.previous->next : workers_) = me.next;
}

void Pool::Impl::end(Worker& me) {
    // From here on this is an ordinary thread; also, thread_is_gone() has nothing left to do.
    set_end_of_thread(nullptr);
    Worker::set_current(nullptr);
    ThreadHooks hooks;
    {
        std::lock_guard guard(lock_);
        if (!me.abandoned) {
            hooks = hooks_;
        }
    }
    if (hooks.on_exit != nullptr) {
        hooks.on_exit();
    }
    leave(me);
}

void Pool::Impl::leave(Worker& me) {
    me.kernel_id = kernel_id_of_this_thread();
    // Before this thread counts as gone, after which the pool may be destroyed. It waits for
    // nobody: were each to join the one before, they would pile up as fast as new ones are made.
    reap_finished();
    bool abandoned = false;
    {
        std::lock_guard guard(lock_);
        abandoned = me.abandoned;
        if (!abandoned) {
            unlink_locked(me);
            me.next = exited_;
            exited_ = &me;
            --retiring_;
            ++retired_;
            // Under the lock: once it is free, whoever waits for this may destroy the pool.
            exits_.notify_all();
        }
    }
    if (abandoned) {
        delete &me;
    }
}

/// Frees the threads that have ended since, without waiting for any.
void Pool::Impl::reap_finished() {
#if defined(__linux__)
    Worker* worker = nullptr;
    {
        std::lock_guard guard(lock_);
        worker = std::exchange(exited_, nullptr);
    }
    Worker* unfinished = nullptr;
    Worker* last_unfinished = nullptr;
    while (worker != nullptr) {
        Worker* const following = worker->next;
        if (pthread_tryjoin_np(worker->handle, nullptr) == 0) {
            delete worker;
        } else {
            worker->next = unfinished;
            unfinished = worker;
            last_unfinished = last_unfinished != nullptr ? last_unfinished : worker;
        }
        worker = following;
    }
    if (unfinished != nullptr) {
        std::lock_guard guard(lock_);
        last_unfinished->next = exited_;
        exited_ = unfinished;
    }
#endif
}

/// Waits for all that have left: afterwards the kernel knows nothing of them either.
void Pool::Impl::join_exited() {
    Worker* worker = nullptr;
    {
        std::lock_guard guard(lock_);
        worker = std::exchange(exited_, nullptr);
    }
    while (worker != nullptr) {
        Worker* const following = worker->next;
        pthread_join(worker->handle, nullptr);
        wait_until_unknown_to_kernel(worker->kernel_id);
        delete worker;
        worker = following;
    }
}

// ---- idle threads -------------------------------------------------------------------------------

Worker* Pool::Impl::retire_idle_locked() noexcept {
    Worker* chain = nullptr;
    while (Worker* const worker = idle_top_) {
        remove_idle_locked(*worker);
        move_locked(*worker, Worker::Phase::retiring);
        worker->idle_below = chain;
        chain = worker;
    }
    return chain;
}

void Pool::Impl::wake_chain(Worker* first) noexcept {
    // A worker of the chain sleeps until its permit comes, and may be gone right after it.
    while (Worker* const worker = first) {
        first = worker->idle_below;
        worker->parker.unpark();
    }
}

bool Pool::Impl::wait_for_exits(TimePoint deadline, bool (Impl::*enough)() const noexcept) {
    while (true) {
        ThreadWaiter waiter;
        {
            std::lock_guard guard(lock_);
            if ((this->*enough)()) {
                return true;
            }
            exits_.add(waiter);
        }
        const ParkResult result = waiter.wait_until(deadline);
        exits_.remove(waiter);
        if (result == ParkResult::timed_out) {
            std::lock_guard guard(lock_);
            return (this->*enough)();
        }
    }
}

bool Pool::Impl::may_still_retire() noexcept {
    std::lock_guard guard(lock_);
    return running_ > blocked_ || on_the_way_ != 0;
}

bool Pool::Impl::quiesce(TimePoint deadline) {
    BlockingRegion region;
    return retire_free_workers(deadline);
}

bool Pool::Impl::retire_free_workers(TimePoint deadline) {
    Worker* chain = nullptr;
    {
        std::lock_guard guard(lock_);
        ++quiescing_;
        chain = retire_idle_locked();
    }
    wake_chain(chain);
    const TimePoint grace =
        std::min(deadline, deadline_after(std::chrono::steady_clock::now(), kQuiesceGrace));
    while (may_still_retire() && std::chrono::steady_clock::now() < grace) {
        sched_yield();
    }
    const bool gone = wait_for_exits(deadline, &Impl::none_retiring_locked);
    {
        std::lock_guard guard(lock_);
        --quiescing_;
    }
    join_exited();
    return gone;
}

// ---- shutdown -----------------------------------------------------------------------------------

std::size_t Pool::Impl::shutdown(TimePoint deadline, OnShutdown policy) {
    Worker* chain = nullptr;
    std::uint64_t refused_before = 0;
    {
        std::lock_guard guard(lock_);
        closed_ = true;
        refused_before = refused_;
        chain = retire_idle_locked();
    }
    wake_chain(chain);
    if (policy == OnShutdown::cancel) {
        cancel_queued();
    }
    const Worker* const current = Worker::current();
    const Worker* const self = current != nullptr && current->pool == this ? current : nullptr;
    // A worker that shuts its own pool down lends its token for the rest of the queue.
    BlockingRegion region;
    while (true) {
        ThreadWaiter waiter;
        Calls calls;
        Job job;
        {
            std::lock_guard guard(lock_);
            const std::size_t others = threads_ + retiring_ - (self != nullptr ? 1 : 0);
            const bool queued = queued_cpu_locked() + blocking_.size() != 0;
            if (others == 0 && !queued) {
                break;
            }
            if (others == 0) {
                if (refused_ == refused_before) {
                    calls = plan_calls_locked(1);
                }
                if (calls.creations == 0) {
                    pop_any_locked(job);
                }
            }
            exits_.add(waiter);
        }
        carry_out(calls);
        if (job.function != nullptr) {
            // No thread is left and none can be made: what was promised is run by who promised it.
            exits_.remove(waiter);
            job.function(job.context);
            continue;
        }
        const ParkResult result = waiter.wait_until(deadline);
        exits_.remove(waiter);
        if (result == ParkResult::timed_out) {
            cancel_queued();
            std::lock_guard guard(lock_);
            abandoned_ += abandon_locked(self);
            break;
        }
    }
    join_exited();
    std::lock_guard guard(lock_);
    return abandoned_;
}

bool Pool::Impl::pop_any_locked(Job& job) noexcept {
    for (const auto& token : tokens_) {
        if (token->pop(job)) {
            return true;
        }
    }
    for (JobQueue* jobs : {&cpu_, &blocking_}) {
        while (jobs->pop(&job, 1) == 1) {
            if (!Task::is_entry(job) || Task::of_entry(job).claim()) {
                return true;
            }
        }
    }
    job = {};
    return false;
}

void Pool::Impl::cancel_queued() {
    while (true) {
        Job job;
        {
            std::lock_guard guard(lock_);
            if (!pop_any_locked(job)) {
                return;
            }
            ++(Task::is_entry(job) ? taken_back_ : dropped_);
        }
        if (Task::is_entry(job)) {
            Task::of_entry(job).finish(TaskState::cancelled);
        }
    }
}

std::size_t Pool::Impl::abandon_locked(const Worker* self) noexcept {
    std::size_t count = 0;
    Worker* next = workers_;
    while (Worker* const worker = next) {
        next = worker->next;
        if (worker == self) {
            continue;
        }
        worker->abandoned = true;
        if (worker->started) {
            pthread_detach(worker->handle);
        }
        unlink_locked(*worker);
        if (worker->in_region) {
            --blocked_;
            blocking_running_ -= worker->lane == Lane::cpu ? 1 : 0;
        }
        if (worker->phase != Worker::Phase::retiring) {
            move_locked(*worker, Worker::Phase::retiring);
        }
        --retiring_;
        ++count;
    }
    return count;
}

// ---- fork ---------------------------------------------------------------------------------------

bool Pool::Impl::none_free_locked() const noexcept {
    // With a job running the process has threads anyway, and more may come and go.
    return idle_top_ == nullptr && retiring_ == 0 && (on_the_way_ == 0 || running_ != 0);
}

void Pool::Impl::prepare_fork() {
    lock_.lock();
    ++quiescing_;
    const TimePoint patience = deadline_after(std::chrono::steady_clock::now(), kForkPatience);
    const bool any = threads_ + retiring_ != 0 || exited_ != nullptr;
    bool may_retire = any && hooks_.on_exit == nullptr;
    while (may_retire) {
        lock_.unlock();
        // Not as a blocking region: this thread may be a worker of a pool that is locked already.
        const bool gone = retire_free_workers(patience);
        lock_.lock();
        const bool enough = none_free_locked() && exited_ == nullptr;
        may_retire = gone && !enough && std::chrono::steady_clock::now() < patience;
    }
    for (const auto& token : tokens_) {
        token->lock().lock();
    }
}

void Pool::Impl::continue_in_parent() {
    for (const auto& token : tokens_) {
        token->lock().unlock();
    }
    --quiescing_;
    const Calls calls = plan_calls_locked(Calls::kMost);
    lock_.unlock();
    carry_out(calls);
}

void Pool::Impl::start_anew_in_child() {
    // Every lock was held by the forking thread, under the parent's generation: it reads as free
    // here, and what it guards is whole.
    for (Worker* next = workers_; next != nullptr;) {
        Worker* const worker = std::exchange(next, next->next);
        if (worker == Worker::current()) {
            // The fork was called by a job: this thread is the child's only one, and no worker.
            worker->orphaned = true;
            Worker::set_current(nullptr);
        } else {
            delete worker;
        }
    }
    PoolOptions options = options_;
    options.cpu_tokens = token_limit_;
    options.blocking_cap = blocking_cap_;
    const ThreadHooks hooks = hooks_;
    Impl* const next_pool = next_pool_;
    Impl* const previous_pool = previous_pool_;
    std::destroy_at(this);
    std::construct_at(this, options);
    hooks_ = hooks;
    next_pool_ = next_pool;
    previous_pool_ = previous_pool;
}

void Pool::Impl::join_forks() {
    // The hooks may be set while another thread is in the middle of a fork: then that fork has no
    // first half, and must not do the second.
    static thread_local bool prepared = false;
    set_fork_hooks(ForkStage::pool,
                   {
                       [] {
                           registry_lock.lock();
                           prepared = true;
                           for (Impl* pool = registry; pool != nullptr; pool = pool->next_pool_) {
                               pool->prepare_fork();
                           }
                       },
                       [] {
                           if (!std::exchange(prepared, false)) {
                               return;
                           }
                           for (Impl* pool = registry; pool != nullptr; pool = pool->next_pool_) {
                               pool->continue_in_parent();
                           }
                           registry_lock.unlock();
                       },
                       [] {
                           if (!std::exchange(prepared, false)) {
                               return;
                           }
                           for (Impl* pool = registry; pool != nullptr; pool = pool->next_pool_) {
                               pool->start_anew_in_child();
                           }
                       },
                   });
    std::lock_guard guard(registry_lock);
    next_pool_ = registry;
    if (next_pool_ != nullptr) {
        next_pool_->previous_pool_ = this;
    }
    registry = this;
}

void Pool::Impl::leave_forks() {
    std::lock_guard guard(registry_lock);
    if (next_pool_ != nullptr) {
        next_pool_->previous_pool_ = previous_pool_;
    }
    (previous_pool_ != nullptr ? previous_pool_->next_pool_ : registry) = next_pool_;
}

}  // namespace gilpool::core
