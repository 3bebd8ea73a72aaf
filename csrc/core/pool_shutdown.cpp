// How the pool lets its threads go: the idle ones for a while, or all of them for good.
// See pool_impl.hpp for the lock and the invariants.
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <mutex>

#include "core/blocking_region.hpp"
#include "core/pool_impl.hpp"

namespace gilpool::core {

namespace {
/// How long quiesce() gives jobs that run to end: who has just been told that its job is done, and
/// forks, means the pool to be idle, although the worker has some instructions to go.
constexpr std::chrono::microseconds kQuiesceGrace{200};
}  // namespace

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
        call_searchers_locked();
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
    free_exited(Exited::all);
    return gone;
}

// ---- shutdown -----------------------------------------------------------------------------------

std::size_t Pool::Impl::shutdown(TimePoint deadline, OnShutdown policy) {
    Worker* chain = nullptr;
    std::uint64_t refused_before = 0;
    {
        std::lock_guard guard(lock_);
        closed_ = true;
        intake_.close();
        call_searchers_locked();
        refused_before = refused_;
        chain = retire_idle_locked();
    }
    wake_chain(chain);
    // From here on all that the intake has taken can be popped, and it takes no more.
    wait_for_posters();
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
    free_exited(Exited::all);
    std::lock_guard guard(lock_);
    return abandoned_;
}

void Pool::Impl::wait_for_posters() noexcept {
    Backoff backoff;
    while (true) {
        {
            std::lock_guard guard(lock_);
            if (intake_.all_published()) {
                return;
            }
        }
        backoff.pause();
    }
}

bool Pool::Impl::pop_any_locked(Job& job) noexcept {
    for (const auto& token : tokens_) {
        if (token->pop(job)) {
            return true;
        }
    }
    while (cpu_.pop(&job, 1) == 1 || intake_.pop(&job, 1) == 1 || blocking_.pop(&job, 1) == 1) {
        if (!Task::is_entry(job) || Task::of_entry(job).claim()) {
            return true;
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

}  // namespace gilpool::core
