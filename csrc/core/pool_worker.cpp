// The pool's back: what a worker does from its first instruction to its last.
// See pool_impl.hpp for the lock and the invariants.
#include <pthread.h>

#include <mutex>

#include "core/blocking_region.hpp"
#include "core/pool_impl.hpp"
#include "core/spin.hpp"

namespace gilpool::core {

thread_local Worker* Worker::current_ = nullptr;

namespace {

/// A key whose destructor runs when a thread ends, however it ends.
pthread_key_t end_of_thread_key;
pthread_once_t end_of_thread_once = PTHREAD_ONCE_INIT;

}  // namespace

// ---- the life of a worker -----------------------------------------------------------------------

void* Pool::Impl::worker_main(void* worker) {
    Worker& me = *static_cast<Worker*>(worker);
    Impl& pool = *static_cast<Impl*>(me.pool);
    if (pool.begin(me)) {
        pool.work(me);
    }
    if (!me.orphaned) {
        pool.end(me);
    }
    return nullptr;
}

void Pool::Impl::set_end_of_thread(Worker* worker) noexcept {
    pthread_once(&end_of_thread_once,
                 [] { pthread_key_create(&end_of_thread_key, &Impl::thread_is_gone); });
    pthread_setspecific(end_of_thread_key, worker);
}

bool Pool::Impl::begin(Worker& me) {
    set_end_of_thread(&me);
    Worker::set_current(&me);
#if defined(__linux__)
    pthread_setname_np(pthread_self(), options_.name);
#endif
    std::lock_guard guard(lock_);
    me.handle = pthread_self();
    me.started = true;
    ++grown_;
    if (me.abandoned) {
        pthread_detach(pthread_self());
    }
    return !me.abandoned;
}

/// The frame below every job. It has nothing to unwind and keeps no lock: a job may end the thread.
void Pool::Impl::work(Worker& me) {
    while (next_job(me, me.job)) {
        me.job.function(me.job.context);
        if (me.orphaned) {
            return;
        }
        me.job.function = nullptr;
        ++me.executed;
    }
}

bool Pool::Impl::next_job(Worker& me, Job& job) {
    if (me.token != nullptr && me.token->pop(job)) {
        return true;
    }
    return find_job(me, job);
}

bool Pool::Impl::find_job(Worker& me, Job& job) {
    bool searched = false;
    while (true) {
        Calls calls;
        bool found = false;
        lock_.lock();
        if (me.abandoned) {
            lock_.unlock();
            return false;
        }
        executed_ += me.executed;
        me.executed = 0;
        if (blocking_first_locked(me) && take_blocking_locked(job)) {
            found = true;
            move_locked(me, Worker::Phase::running, Lane::blocking);
        } else if (take_cpu_locked(me)) {
            move_locked(me, Worker::Phase::running, Lane::cpu);
        } else if (take_blocking_locked(job)) {
            found = true;
            move_locked(me, Worker::Phase::running, Lane::blocking);
        } else if (closed_ || quiescing_ != 0) {
            move_locked(me, Worker::Phase::retiring);
            lock_.unlock();
            return false;
        } else if (!searched && searching_ < (token_limit_ + 1) / 2 && spinning_helps()) {
            searched = true;
            move_locked(me, Worker::Phase::on_the_way);
            ++searching_;
            lock_.unlock();
            search();
            std::lock_guard guard(lock_);
            --searching_;
            continue;
        } else {
            move_locked(me, Worker::Phase::idle);
            push_idle_locked(me);
            lock_.unlock();
            if (!park(me)) {
                return false;
            }
            continue;
        }
        if (found && me.token != nullptr) {
            release_token_locked(me);
        }
        calls = plan_calls_locked(Calls::kMost, me.token);
        lock_.unlock();
        carry_out(calls);
        if (found || me.token->pop(job)) {
            return true;
        }
        // Others were quicker than us at our own batch.
        searched = false;
    }
}

void Pool::Impl::search() noexcept {
    SpinBudget spin(options_.search_spin);
    while (cpu_.size() == 0 && blocking_.size() == 0 && spin.again()) {
    }
}

// ---- taking jobs --------------------------------------------------------------------------------

bool Pool::Impl::take_cpu_locked(Worker& me) noexcept {
    if (me.token == nullptr) {
        if (held_tokens_ >= token_limit_ || !cpu_work_locked()) {
            return false;
        }
        me.token = acquire_token_locked();
    }
    // With a smaller limit than there are holders, the first ones that come by give theirs up.
    if (held_tokens_ <= token_limit_) {
        if (me.token->size() != 0 || me.token->refill(cpu_)) {
            return true;
        }
        for (const auto& token : tokens_) {
            if (token.get() != me.token && token->size() != 0 && me.token->steal_from(*token)) {
                ++stolen_;
                return true;
            }
        }
    }
    release_token_locked(me);
    return false;
}

bool Pool::Impl::take_blocking_locked(Job& job) noexcept {
    if (blocking_running_ >= blocking_cap_) {
        return false;
    }
    while (blocking_.pop(&job, 1) == 1) {
        // Under the lock, so that a task that was taken back is not looked at any more.
        if (!Task::is_entry(job) || Task::of_entry(job).claim()) {
            return true;
        }
    }
    return false;
}

bool Pool::Impl::blocking_first_locked(const Worker& me) const noexcept {
    // Normally a blocking job has a thread of its own on the way. If there can be none, a worker
    // that just ran cpu jobs gives it a turn.
    return blocking_.size() != 0 && me.phase == Worker::Phase::running && me.lane == Lane::cpu &&
           on_the_way_ == 0 && idle_top_ == nullptr && !can_create_locked();
}

CpuToken* Pool::Impl::acquire_token_locked() noexcept {
    CpuToken*& stack = free_loaded_ != nullptr ? free_loaded_ : free_empty_;
    CpuToken* const token = stack;
    stack = token->next_free;
    ++held_tokens_;
    return token;
}

void Pool::Impl::release_token_locked(Worker& me) noexcept {
    CpuToken*& stack = me.token->size() != 0 ? free_loaded_ : free_empty_;
    me.token->next_free = stack;
    stack = me.token;
    me.token = nullptr;
    --held_tokens_;
}

// ---- phases -------------------------------------------------------------------------------------

void Pool::Impl::move_locked(Worker& me, Worker::Phase phase, Lane lane) noexcept {
    switch (me.phase) {
        case Worker::Phase::on_the_way:
            --on_the_way_;
            break;
        case Worker::Phase::running:
            --running_;
            blocking_running_ -= me.lane == Lane::blocking ? 1 : 0;
            break;
        case Worker::Phase::idle:
        case Worker::Phase::retiring:
            break;
    }
    me.phase = phase;
    me.lane = lane;
    switch (phase) {
        case Worker::Phase::on_the_way:
            ++on_the_way_;
            break;
        case Worker::Phase::running:
            ++running_;
            blocking_running_ += lane == Lane::blocking ? 1 : 0;
            break;
        case Worker::Phase::retiring:
            --threads_;
            ++retiring_;
            break;
        case Worker::Phase::idle:
            break;
    }
}

bool Pool::Impl::park(Worker& me) {
    TimePoint deadline = deadline_after(std::chrono::steady_clock::now(), options_.idle_timeout);
    while (true) {
        if (me.parker.park_until(deadline) == ParkResult::unparked) {
            // Written under the lock by who left the permit, hence visible with it.
            return me.phase != Worker::Phase::retiring;
        }
        if (std::chrono::steady_clock::now() < deadline) {
            continue;
        }
        std::lock_guard guard(lock_);
        if (me.phase == Worker::Phase::idle) {
            remove_idle_locked(me);
            move_locked(me, Worker::Phase::retiring);
            return false;
        }
        // Called at the same moment: the permit is on its way.
        deadline = kNever;
    }
}

void Pool::Impl::push_idle_locked(Worker& me) noexcept {
    me.idle_below = idle_top_;
    me.idle_above = nullptr;
    if (idle_top_ != nullptr) {
        idle_top_->idle_above = &me;
    }
    idle_top_ = &me;
    ++idle_;
}

void Pool::Impl::remove_idle_locked(Worker& me) noexcept {
    if (me.idle_below != nullptr) {
        me.idle_below->idle_above = me.idle_above;
    }
    (me.idle_above != nullptr ? me.idle_above->idle_below : idle_top_) = me.idle_below;
    --idle_;
}

// ---- blocking regions ---------------------------------------------------------------------------

void Pool::Impl::enter_region(Worker& me) {
    Calls calls;
    {
        std::lock_guard guard(lock_);
        if (me.abandoned) {
            return;
        }
        ++blocked_;
        me.in_region = true;
        blocking_running_ += me.lane == Lane::cpu ? 1 : 0;
        me.lent_token = me.token != nullptr;
        if (me.lent_token) {
            release_token_locked(me);
        }
        if (on_the_way_ == 0) {
            calls = plan_calls_locked(1);
        }
    }
    carry_out(calls);
}

void Pool::Impl::leave_region(Worker& me) {
    std::lock_guard guard(lock_);
    if (me.abandoned) {
        return;
    }
    --blocked_;
    me.in_region = false;
    blocking_running_ -= me.lane == Lane::cpu ? 1 : 0;
    if (me.lent_token && held_tokens_ < token_limit_) {
        me.token = acquire_token_locked();
    }
}

BlockingRegion::BlockingRegion() : worker_(Worker::current()) {
    auto* const me = static_cast<Worker*>(worker_);
    if (me != nullptr && me->regions++ == 0) {
        static_cast<Pool::Impl*>(me->pool)->enter_region(*me);
    }
}

BlockingRegion::~BlockingRegion() {
    auto* const me = static_cast<Worker*>(worker_);
    if (me != nullptr && --me->regions == 0 && !me->orphaned) {
        static_cast<Pool::Impl*>(me->pool)->leave_region(*me);
    }
}

// ---- a thread that a job has ended --------------------------------------------------------------

void Pool::Impl::thread_is_gone(void* worker) {
    Worker& me = *static_cast<Worker*>(worker);
    if (me.orphaned) {
        return;
    }
    Worker::set_current(nullptr);
    Impl& pool = *static_cast<Impl*>(me.pool);
    Calls calls;
    {
        std::lock_guard guard(pool.lock_);
        if (!me.abandoned) {
            pool.executed_ += me.executed + 1;
            if (me.token != nullptr) {
                pool.release_token_locked(me);
            }
            pool.move_locked(me, Worker::Phase::retiring);
            calls = pool.plan_calls_locked(1);
        }
    }
    pool.carry_out(calls);
    if (me.job.function != nullptr && Task::is_entry(me.job)) {
        Task::of_entry(me.job).finish(TaskState::abandoned);
    }
    pool.leave(me);
}

}  // namespace gilpool::core
