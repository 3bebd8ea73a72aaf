// How one thread of the pool is made, leaves, and is joined.
// See pool_impl.hpp for the lock and the invariants.
#include <pthread.h>

#include <cerrno>
#include <mutex>
#include <new>
#include <utility>

#include "core/futex.hpp"
#include "core/native_thread.hpp"
#include "core/pool_impl.hpp"
#include "core/thread_shortage.hpp"

namespace gilpool::core {

namespace {
/// join() joins a thread that has left; with `wait` it also waits until the kernel has forgotten
/// it. False if it still has a few instructions to go.
bool join(Worker& worker, bool wait) noexcept {
    if (wait) {
        if (!worker.joined) {
            pthread_join(worker.handle, nullptr);
        }
        wait_until_forgotten(worker.id);
        return true;
    }
#if defined(__linux__)
    worker.joined = worker.joined || pthread_tryjoin_np(worker.handle, nullptr) == 0;
#endif
    return worker.joined && !known_to_kernel(worker.id);
}

}  // namespace

void Pool::Impl::create_worker(bool amid_all_pools) {
    auto* const worker = new (std::nothrow) Worker(this);
    int error = ENOMEM;
    if (worker != nullptr) {
        std::size_t threads = 0;
        {
            std::lock_guard guard(lock_);
            link_locked(*worker);
            threads = threads_;
        }
        futex_expect_sleepers(threads);
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        if (options_.stack_size != 0) {
            pthread_attr_setstacksize(&attributes, options_.stack_size);
        }
        pthread_t handle;
        {
            const SignalsBlocked blocked;
            worker->signals = blocked.signals_to_hand_on();
            error = options_.create_thread(&handle, &attributes, &Impl::worker_main, worker);
        }
        pthread_attr_destroy(&attributes);
    }
    if (error == 0) {
        return;
    }
    // Fewer threads, then. The job stays queued: who is parked by now is called instead, who runs
    // will look at the queue, and a shortage begins, in which the thread is asked for again.
    Calls calls;
    {
        std::lock_guard guard(lock_);
        // A shutdown that gave up meanwhile has counted and unlinked it already.
        if (worker == nullptr || !worker->abandoned) {
            --threads_;
            --on_the_way_;
            if (worker != nullptr) {
                unlink_locked(*worker);
            }
        }
        ++refused_;
        no_thread_until_ = deadline_after(monotonic_now(), ThreadShortage::kFirstPause);
        calls = plan_calls_locked(Calls::kMost, nullptr, false);
        exits_.notify_all();
    }
    delete worker;
    carry_out(calls);
    ThreadShortage::begin();
    if (!amid_all_pools) {
        ThreadShortage::call_reactor();
    }
}

bool Pool::Impl::ask_for_missing_threads() {
    // The lock is held amid a fork, by this very thread perhaps.
    if (!registry_lock.try_lock()) {
        return false;
    }
    for (Impl* pool = registry; pool != nullptr; pool = pool->next_pool_) {
        pool->ask_for_missing_thread();
    }
    registry_lock.unlock();
    return true;
}

void Pool::Impl::ask_for_missing_thread() {
    Calls calls;
    {
        std::lock_guard guard(lock_);
        calls = plan_calls_locked(Calls::kMost);
        if (on_the_way_ < wanted_locked() && threads_ < most_threads_locked()) {
            ThreadShortage::begin();
        }
    }
    calls.amid_all_pools = true;
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

// Exited threads are joined, so that their stacks are reused and the sanitizers and the kernel know
// of their end, but hardly anybody waits for that.
//
// Invariant: who is in exited_ has only to return, and waits for nobody. Who leaves puts itself
// there in the same step in which it stops being counted; before that it frees those that have
// ended. It waits for the others only if nobody else is leaving: so of all leaving threads at most
// one waits, for threads that wait for nobody. A chain, in which each joins the one before it,
// could grow as fast as new threads are made; this cannot. When a wave of threads has left, its
// last one has joined the others and is the only one not joined.

void Pool::Impl::leave(Worker& me) {
    me.id = kernel_id();
    // Before this thread counts as gone, after which the pool may be destroyed.
    free_exited(Exited::that_have_ended);
    while (!try_leave(me)) {
        free_exited(Exited::all);
    }
}

bool Pool::Impl::try_leave(Worker& me) {
    {
        std::lock_guard guard(lock_);
        if (!me.abandoned) {
            if (retiring_ == 1 && exited_ != nullptr) {
                return false;
            }
            unlink_locked(me);
            me.next = exited_;
            exited_ = &me;
            ++unjoined_;
            --retiring_;
            ++retired_;
            // Under the lock: once it is free, whoever waits for this may destroy the pool.
            exits_.notify_all();
            return true;
        }
    }
    delete &me;
    return true;
}

void Pool::Impl::free_exited(Exited which) {
    Worker* worker = nullptr;
    {
        std::lock_guard guard(lock_);
        worker = std::exchange(exited_, nullptr);
    }
    Worker* kept = nullptr;
    Worker* last_kept = nullptr;
    std::size_t freed = 0;
    while (worker != nullptr) {
        Worker* const following = worker->next;
        if (join(*worker, which == Exited::all)) {
            delete worker;
            ++freed;
        } else {
            worker->next = kept;
            kept = worker;
            last_kept = last_kept != nullptr ? last_kept : worker;
        }
        worker = following;
    }
    if (kept != nullptr || freed != 0) {
        std::lock_guard guard(lock_);
        unjoined_ -= freed;
        if (kept != nullptr) {
            last_kept->next = exited_;
            exited_ = kept;
        }
    }
}

}  // namespace gilpool::core
