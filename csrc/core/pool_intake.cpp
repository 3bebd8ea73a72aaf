// How work comes into the pool, how it is taken back, and who is called for it.
// See pool_impl.hpp for the lock and the invariants.
#include <algorithm>
#include <mutex>
#include <new>

#include "core/pool_impl.hpp"
#include "core/spin.hpp"

namespace gilpool::core {

namespace {
/// Jobs queued in one critical section: some microseconds, so that a large batch neither keeps the
/// workers waiting nor grows the queue before they start.
constexpr std::size_t kJobsPerLock = 256;
}  // namespace

// ---- work comes in ------------------------------------------------------------------------------

bool Pool::Impl::post(Job job, Lane lane) {
    return lane == Lane::cpu ? post_cpu(job) : post_blocking(job);
}

bool Pool::Impl::post_cpu(Job job) {
    Backoff backoff;
    while (true) {
        switch (intake_.post(job)) {
            case Posted::taken:
                return true;
            case Posted::taken_call:
                call_for_posted();
                return true;
            case Posted::closed:
                return false;
            case Posted::full:
                if (!queue_some_posted()) {
                    backoff.pause();
                }
        }
    }
}

bool Pool::Impl::post_blocking(Job job) {
    Calls calls;
    {
        std::lock_guard guard(lock_);
        if (closed_) {
            return false;
        }
        blocking_.push(job);
        call_searchers_locked();
        // Somebody who is on the way calls the next one himself when he arrives: a burst of posts
        // costs the poster one call, not one each.
        if (on_the_way_ == 0) {
            calls = plan_calls_locked(1);
        }
    }
    carry_out(calls);
    return true;
}

void Pool::Impl::call_for_posted() {
    Calls calls;
    {
        std::lock_guard guard(lock_);
        if (on_the_way_ == 0) {
            calls = plan_calls_locked(1);
        } else {
            // Somebody came after all, and calls the next one himself when he arrives.
            intake_.stop_calls();
        }
    }
    carry_out(calls);
}

bool Pool::Impl::queue_some_posted() {
    std::lock_guard guard(lock_);
    return !intake_.empty() && cpu_.push_from(intake_, kJobsPerLock) != 0;
}

bool Pool::Impl::queue_posted() noexcept {
    const std::uint64_t posted = intake_.posted();
    Backoff backoff;
    try {
        while (intake_.popped() < posted) {
            if (!queue_some_posted()) {
                backoff.pause();
            }
        }
    } catch (const std::bad_alloc&) {
        return false;
    }
    return true;
}

template <class Push>
std::size_t Pool::Impl::push_many(std::size_t count, Lane lane, Push push) {
    std::size_t pushed = 0;
    bool more = lane == Lane::blocking || queue_posted();
    while (more && pushed < count) {
        Calls calls;
        {
            std::lock_guard guard(lock_);
            const std::size_t end = std::min(count, pushed + kJobsPerLock);
            more = !closed_;
            try {
                for (JobQueue& jobs = queue(lane); more && pushed < end; ++pushed) {
                    push(jobs, pushed);
                }
            } catch (const std::bad_alloc&) {
                more = false;
            }
            call_searchers_locked();
            if (on_the_way_ == 0) {
                calls = plan_calls_locked(1);
            }
        }
        carry_out(calls);
    }
    return pushed;
}

std::size_t Pool::Impl::post_many(std::span<const Job> jobs, Lane lane) {
    return push_many(jobs.size(), lane,
                     [&](JobQueue& queue, std::size_t i) { queue.push(jobs[i]); });
}

std::size_t Pool::Impl::submit_many(Pool& owner, std::span<Task* const> tasks, Lane lane) {
    return push_many(tasks.size(), lane, [&](JobQueue& queue, std::size_t i) {
        Task& task = *tasks[i];
        task.place_ = queue.push({&Task::entry, &task});
        task.pool_ = &owner;
        task.lane_ = lane;
        task.enqueue();
    });
}

bool Pool::Impl::take_back(Task& task) noexcept {
    std::lock_guard guard(lock_);
    if (!task.claim()) {
        return false;
    }
    // Entries move only under lock_, so the entry is in the queue, in a token, or has been popped
    // from one. Passing through every token's lock also waits for a pop() that still looks at the
    // task.
    if (!queue(task.lane_).erase(task.place_)) {
        for (const auto& token : tokens_) {
            if (token->erase(&task)) {
                break;
            }
        }
    }
    ++taken_back_;
    return true;
}

// ---- who is called for it -----------------------------------------------------------------------

bool Pool::Impl::cpu_work_locked(const CpuToken* begun) const noexcept {
    return cpu_.size() != 0 || !intake_.empty() || free_loaded_ != nullptr ||
           std::any_of(tokens_.begin(), tokens_.end(), [begun](const auto& token) {
               return token->size() > (token.get() == begun ? 1 : 0);
           });
}

bool Pool::Impl::can_create_locked() const noexcept {
    if (threads_ >= most_threads_locked()) {
        return false;
    }
    // Without any thread each new job tries again; with some, a refusal is believed for a while.
    return threads_ == 0 || no_thread_until_ == TimePoint::min() ||
           std::chrono::steady_clock::now() >= no_thread_until_;
}

std::size_t Pool::Impl::wanted_locked(const CpuToken* begun) const noexcept {
    // One for the cpu lane is enough: he takes a batch, and if anything is left for others (in the
    // queue or in his batch) calls the next one. The blocking lane needs one for each job.
    std::size_t wanted = held_tokens_ < token_limit_ && cpu_work_locked(begun) ? 1 : 0;
    if (blocking_running_ < blocking_cap_) {
        wanted += std::min(blocking_.size(), blocking_cap_ - blocking_running_);
    }
    return wanted;
}

Pool::Impl::Calls Pool::Impl::plan_calls_locked(int most, const CpuToken* begun,
                                                bool may_create) noexcept {
    Calls calls;
    std::size_t wanted = 0;
    do {
        wanted = wanted_locked(begun);
        while (on_the_way_ < wanted && calls.wakes + calls.creations < most) {
            if (idle_top_ != nullptr) {
                calls.wake[calls.wakes++] = pop_idle_locked();
                ++wakeups_;
            } else if (may_create && can_create_locked()) {
                ++calls.creations;
                ++threads_;
            } else {
                break;
            }
            ++on_the_way_;
        }
    } while (tell_posters_locked(wanted));
    return calls;
}

bool Pool::Impl::tell_posters_locked(std::size_t wanted) noexcept {
    // Who is wanted and could not be called is asked for again with each new job.
    if (on_the_way_ == 0 && (held_tokens_ < token_limit_ || wanted != 0)) {
        return intake_.ask_for_calls() && wanted == 0;
    }
    intake_.stop_calls();
    return false;
}

void Pool::Impl::carry_out(const Calls& calls) {
    for (int i = 0; i < calls.wakes; ++i) {
        calls.wake[i]->called_on = core_of_this_thread();
        calls.wake[i]->parker.unpark();
    }
    for (int i = 0; i < calls.creations; ++i) {
        create_worker(calls.amid_all_pools);
    }
}

Worker* Pool::Impl::pop_idle_locked() noexcept {
    Worker* const worker = idle_top_;
    remove_idle_locked(*worker);
    worker->phase = Worker::Phase::on_the_way;
    return worker;
}

bool Pool::Impl::can_run_queued() {
    const auto free_hand_locked = [this] { return idle_top_ != nullptr || on_the_way_ != 0; };
    Calls calls;
    {
        std::lock_guard guard(lock_);
        if (free_hand_locked() || !can_create_locked()) {
            return free_hand_locked();
        }
        calls = plan_calls_locked(1);
        if (calls.creations == 0) {
            return true;
        }
    }
    // Only a thread that exists is an answer.
    carry_out(calls);
    std::lock_guard guard(lock_);
    return threads_ != 0;
}

}  // namespace gilpool::core
