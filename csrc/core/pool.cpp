// The pool's front: what it is made of, what can be set and asked, and the public face.
// See pool_impl.hpp for the lock and the invariants.
#include "core/pool.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "core/limits.hpp"
#include "core/pool_impl.hpp"

namespace gilpool::core {

Pool::Impl::Impl(const PoolOptions& options) : options_(options) {
    resize(options.cpu_tokens != 0 ? options.cpu_tokens : usable_cores(),
           options.blocking_cap != 0 ? std::min(options.blocking_cap, kMostThreads)
                                     : thread_allowance());
}

void Pool::Impl::resize(std::size_t cpu_tokens, std::size_t blocking_cap) {
    Calls calls;
    {
        std::lock_guard guard(lock_);
        // The tokens first: if memory runs out, the limit stays what they allow.
        while (tokens_.size() < cpu_tokens) {
            tokens_.push_back(std::make_unique<CpuToken>());
            tokens_.back()->next_free = free_empty_;
            free_empty_ = tokens_.back().get();
        }
        token_limit_ = cpu_tokens != 0 ? cpu_tokens : token_limit_;
        blocking_cap_ = blocking_cap != 0 ? blocking_cap : blocking_cap_;
        calls = plan_calls_locked(Calls::kMost);
    }
    carry_out(calls);
}

// ---- what can be asked --------------------------------------------------------------------------

std::size_t Pool::Impl::queued_cpu_locked() const noexcept {
    std::size_t queued = cpu_.size() + intake_.size();
    for (const auto& token : tokens_) {
        queued += token->size();
    }
    return queued;
}

PoolStats Pool::Impl::stats() noexcept {
    std::lock_guard guard(lock_);
    PoolStats now;
    now.threads = threads_;
    now.queued_cpu = queued_cpu_locked();
    now.queued_blocking = blocking_.size();
    now.running = running_;
    now.blocked = blocked_;
    now.idle = idle_;
    now.executed = executed_;
    now.taken_back = taken_back_;
    now.dropped = dropped_;
    now.grown = grown_;
    now.retired = retired_;
    now.unjoined = unjoined_;
    now.refused = refused_;
    now.wakeups = wakeups_;
    now.stolen = stolen_;
    now.abandoned = abandoned_;
    now.cpu_tokens = token_limit_;
    now.blocking_cap = blocking_cap_;
    return now;
}

void Pool::Impl::set_thread_hooks(ThreadHooks hooks) noexcept {
    std::lock_guard guard(lock_);
    hooks_ = hooks;
}

// ---- the public face ----------------------------------------------------------------------------

Pool& Pool::process() {
    // No function-local static: its guard could be held by another thread at the moment of a fork.
    static std::atomic<Pool*> instance{nullptr};
    // Acquire pairs with the release of who made the pool, whoever that was.
    Pool* pool = instance.load(std::memory_order_acquire);
    if (pool == nullptr) {
        Pool* const mine = new Pool;
        if (instance.compare_exchange_strong(pool, mine, std::memory_order_acq_rel)) {
            return *mine;
        }
        delete mine;
    }
    return *pool;
}

Pool::Pool(const PoolOptions& options) : impl_(new Impl(options)) {
    impl_->join_forks();
}

Pool::~Pool() {
    impl_->shutdown(kNever, OnShutdown::drain);
    // A thread that an earlier shutdown left behind may still come back: then all of it stays.
    if (impl_->stats().abandoned == 0) {
        impl_->leave_forks();
        delete impl_;
    }
}

bool Pool::post(Function function, void* context, Lane lane) {
    return impl_->post({function, context}, lane);
}
std::size_t Pool::post_many(std::span<const Job> jobs, Lane lane) {
    return impl_->post_many(jobs, lane);
}
bool Pool::submit(Task& task, Lane lane) {
    Task* const one[] = {&task};
    return impl_->submit_many(*this, one, lane) == 1;
}
std::size_t Pool::submit_many(std::span<Task* const> tasks, Lane lane) {
    return impl_->submit_many(*this, tasks, lane);
}
bool Pool::take_back(Task& task) noexcept {
    return impl_->take_back(task);
}
bool Pool::can_run_queued() {
    return impl_->can_run_queued();
}
void Pool::set_thread_hooks(ThreadHooks hooks) {
    impl_->set_thread_hooks(hooks);
}
void Pool::resize(std::size_t cpu_tokens, std::size_t blocking_cap) {
    impl_->resize(cpu_tokens, blocking_cap);
}
bool Pool::quiesce(TimePoint deadline) {
    return impl_->quiesce(deadline);
}
std::size_t Pool::shutdown(TimePoint deadline, OnShutdown policy) {
    return impl_->shutdown(deadline, policy);
}
PoolStats Pool::stats() const {
    return impl_->stats();
}

}  // namespace gilpool::core
