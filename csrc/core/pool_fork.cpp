// What becomes of the pools of a process when it forks.
// See pool_impl.hpp for the lock and the invariants.
#include <memory>
#include <mutex>
#include <utility>

#include "core/fork.hpp"
#include "core/pool_impl.hpp"
#include "core/thread_shortage.hpp"

namespace gilpool::core {

namespace {
/// How long a fork waits for idle workers to end; they need some microseconds each.
constexpr std::chrono::milliseconds kForkPatience{200};
}  // namespace

TinyLock Pool::Impl::registry_lock;
Pool::Impl* Pool::Impl::registry = nullptr;

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
    Calls calls = plan_calls_locked(Calls::kMost);
    lock_.unlock();
    calls.amid_all_pools = true;
    carry_out(calls);
}

void Pool::Impl::start_anew_in_child() {
    // Every lock was held by the forking thread, under the parent's generation: it reads as free
    // here, and what it guards is whole. The intake may hold jobs of which a thread that is not
    // here has published half: it is made anew without a look at them.
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
    // Neither do those that had left, and nobody joins them here.
    for (Worker* next = exited_; next != nullptr;) {
        delete std::exchange(next, next->next);
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
                           ThreadShortage::forget();
                       },
                   });
    ThreadShortage::set_asker(&ask_for_missing_threads);
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
