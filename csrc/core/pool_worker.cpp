// The pool's back: what a worker does from its first instruction to its last.
// See pool_impl.hpp for the lock and the invariants.
#include <pthread.h>

#include <mutex>

#include "core/native_thread.hpp"
#include "core/pool_impl.hpp"
#include "core/spin.hpp"

namespace gilpool::core {

thread_local Worker* Worker::current_ = nullptr;

namespace {

/// A key whose destructor runs when a thread ends, however it ends.
pthread_key_t end_of_thread_key;
pthread_once_t end_of_thread_once = PTHREAD_ONCE_INIT;

/// While jobs come in a stream, who has run out of them waits about so long for the next few,
/// rather than take the pool's lock for each: some tenths of a microsecond.
constexpr int kPausesInStream = 16;

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
    keep_handed_on(me.signals);
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
    Backoff backoff;
    while (true) {
        Calls calls;
        bool found = false;
        lock_.lock();
        if (me.searching) {
            end_search_locked(me);
        }
        // Told to leave while it was parked, or given up on at any time.
        if (me.abandoned || me.phase == Worker::Phase::retiring) {
            lock_.unlock();
            return false;
        }
        executed_ += me.executed;
        me.executed = 0;
        const bool leaving = closed_ || quiescing_ != 0;
        if (blocking_first_locked(me) && take_blocking_locked(job)) {
            found = true;
            move_locked(me, Worker::Phase::running, Lane::blocking);
        } else if (take_cpu_locked(me)) {
            move_locked(me, Worker::Phase::running, Lane::cpu);
        } else if (take_blocking_locked(job)) {
            found = true;
            move_locked(me, Worker::Phase::running, Lane::blocking);
        } else if (!searched && !leaving && searching_ < (token_limit_ + 1) / 2 &&
                   spinning_helps()) {
            searched = true;
            move_locked(me, Worker::Phase::on_the_way);
            begin_search_locked(me);
            lock_.unlock();
            search(me);
            continue;
        } else if (!may_rest_locked(me)) {
            // A job has come this moment, or its poster is about to publish it.
            move_locked(me, Worker::Phase::on_the_way);
            intake_.stop_calls();
            lock_.unlock();
            backoff.pause();
            continue;
        } else if (leaving) {
            move_locked(me, Worker::Phase::retiring);
            lock_.unlock();
            return false;
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
        me.in_stream = !searched || (me.token != nullptr && me.token->size() > 1);
        carry_out(calls);
        if (found || me.token->pop(job)) {
            return true;
        }
        // Others were quicker than us at our own batch.
        searched = false;
    }
}

void Pool::Impl::search(const Worker& me) noexcept {
    SpinBudget spin(me.spin_guess.limit(options_.search_spin, options_.patient_search_spin));
    for (int pause = me.in_stream ? kPausesInStream : 0; pause > 0; --pause) {
        cpu_relax();
    }
    while (!look_again_.load(std::memory_order_relaxed) && !intake_.ready() && spin.again()) {
    }
}

void Pool::Impl::call_searchers_locked() noexcept {
    if (searching_ != 0 && !searchers_called_) {
        searchers_called_ = true;
        look_again_.store(true, std::memory_order_relaxed);
    }
}

void Pool::Impl::begin_search_locked(Worker& me) noexcept {
    me.searching = true;
    ++searching_;
    intake_.stop_calls();  // a searcher sees what comes
}

void Pool::Impl::end_search_locked(Worker& me) noexcept {
    me.searching = false;
    if (--searching_ == 0 && searchers_called_) {
        searchers_called_ = false;
        look_again_.store(false, std::memory_order_relaxed);
    }
}

// ---- parking ------------------------------------------------------------------------------------

bool Pool::Impl::may_rest_locked(const Worker& me) noexcept {
    const std::size_t others = on_the_way_ - (me.phase == Worker::Phase::on_the_way ? 1 : 0);
    return others != 0 || held_tokens_ >= token_limit_ ||
           (intake_.empty() && !intake_.ask_for_calls());
}

bool Pool::Impl::park(Worker& me) {
    const int here = core_of_this_thread();
    const TimePoint begin = std::chrono::steady_clock::now();
    TimePoint deadline = deadline_after(begin, options_.idle_timeout);
    while (true) {
        if (me.parker.park_until(deadline) == ParkResult::unparked) {
            me.spin_guess.learn(here, me.called_on, std::chrono::steady_clock::now() - begin);
            return true;
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
