// The two lanes: who may take which job, who holds a cpu token, and who lends it while it blocks.
// See pool_impl.hpp for the lock and the invariants.
#include <mutex>

#include "core/blocking_region.hpp"
#include "core/pool_impl.hpp"

namespace gilpool::core {

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
        if (me.token->size() != 0 || me.token->refill(cpu_) || me.token->refill(intake_)) {
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

}  // namespace gilpool::core
