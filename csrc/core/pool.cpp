// core/pool.cpp: workers, their queue, their parking, and what fork and exit do to them.
//
// Park/wake: a worker that finds the queue empty enters the idle stack and leaves the lock in one
// step; post() pushes and pops a worker from that stack under the same lock. So either the worker
// sees the item, or the poster sees the worker. A popped worker owns exactly one wake (its Parker
// keeps it), and a worker whose park timed out looks under the lock whether it has been popped
// meanwhile.
//
// Fork: the lock is taken around fork, so the child finds queue and stack in a consistent state; it
// then forgets both (their threads do not exist there) and begins anew. The forgotten objects are
// leaked: destroying what another thread was using is not safe in a child.
#include "core/pool.hpp"

#include <pthread.h>
#include <signal.h>

#include <deque>
#include <mutex>
#include <new>
#include <vector>

#include "core/limits.hpp"
#include "core/parker.hpp"
#include "core/waiters.hpp"

namespace gilpool::core {

struct Pool::Worker {
    Pool* pool = nullptr;
    Impl* impl = nullptr;  ///< of the process that started it: a fork gives the pool a new one
    Parker parker;
    bool popped = false;   ///< somebody took it off the idle stack: it must look at the queue
    bool leaving = false;  ///< popped in order to end, unless there is work after all
};

struct Pool::Impl {
    struct Item {
        Function function;
        void* context;
    };

    std::mutex mutex;
    std::deque<Item> queue;
    std::vector<Worker*> idle;  ///< last in, first woken: the others may cool down and retire
    std::size_t threads = 0;
    std::size_t waking = 0;  ///< woken or starting workers that have not looked at the queue yet
    std::uint64_t started = 0;
    std::uint64_t retired = 0;
    std::size_t thread_cap = thread_limit();
    std::chrono::milliseconds idle_timeout{10'000};
    bool closed = false;
    std::size_t leaving = 0;       ///< workers popped in order to end that have not ended yet
    std::vector<pthread_t> ended;  ///< returned or about to: joined by whoever ends or waits next
    WaitList changed;              ///< told whenever a worker has ended or changed its mind
    ThreadHooks hooks;

    /// Moves every idle worker off the stack and asks it to end. Caller holds the mutex.
    void dismiss_idle() {
        for (Worker* const worker : idle) {
            worker->popped = true;
            worker->leaving = true;
            ++waking;
            ++leaving;
            worker->parker.unpark();
        }
        idle.clear();
    }

    /// Waits until done() holds or `deadline`. Caller holds `lock`; done() runs under it.
    template <typename Done>
    void wait_for(std::unique_lock<std::mutex>& lock, TimePoint deadline, Done done) {
        while (!done()) {
            ThreadWaiter waiter;
            changed.add(waiter);
            lock.unlock();
            const ParkResult result = waiter.wait_until(deadline);
            changed.remove(waiter);
            lock.lock();
            if (result == ParkResult::timed_out) {
                return;
            }
        }
    }

    /// Joins the threads that have ended, so that nothing of them is left. Caller holds no lock.
    void join_ended() {
        std::vector<pthread_t> threads_to_join;
        {
            const std::lock_guard lock(mutex);
            threads_to_join.swap(ended);
        }
        for (const pthread_t thread : threads_to_join) {
            pthread_join(thread, nullptr);
        }
    }
};

class PoolForkHandler {
  public:
    static void install() {
        static std::once_flag once;
        std::call_once(once, [] { pthread_atfork(&prepare, &parent, &child); });
    }

  private:
    // Idle workers are not dismissed here: their exit hook may need a lock the forking thread
    // holds.
    static void prepare() { Pool::process().impl_->mutex.lock(); }
    static void parent() { Pool::process().impl_->mutex.unlock(); }
    static void child() {
        Pool& pool = Pool::process();
        // If a worker forked, it is the child's only thread and finds its old pool closed when it
        // is done.
        pool.impl_->closed = true;
        pool.impl_->queue.clear();
        pool.impl_->idle.clear();
        pool.impl_->ended.clear();
        pool.impl_->mutex.unlock();
        const ThreadHooks hooks = pool.impl_->hooks;
        const auto idle_timeout = pool.impl_->idle_timeout;
        pool.impl_ = new Pool::Impl;
        pool.impl_->hooks = hooks;
        pool.impl_->idle_timeout = idle_timeout;
    }
};

Pool& Pool::process() {
    static Pool* const pool = new Pool;
    return *pool;
}

Pool::Pool() : impl_(new Impl) {}

bool Pool::post(Function function, void* context, Lane) {
    PoolForkHandler::install();
    Worker* woken = nullptr;
    {
        const std::lock_guard lock(impl_->mutex);
        if (impl_->closed) {
            return false;
        }
        impl_->queue.push_back({function, context});
        if (impl_->queue.size() <= impl_->waking) {
            return true;  // enough workers are on their way
        }
        if (!impl_->idle.empty()) {
            woken = impl_->idle.back();
            impl_->idle.pop_back();
            woken->popped = true;
            ++impl_->waking;
        } else if (impl_->threads < impl_->thread_cap && !start_worker() && impl_->threads == 0) {
            impl_->queue.pop_back();
            return false;
        }
        // The wake stays under the lock: a popped worker may end, and free its parker, right after.
        if (woken != nullptr) {
            woken->parker.unpark();
        }
    }
    return true;
}

bool Pool::start_worker() {
    auto* const worker = new Worker;
    worker->pool = this;
    worker->impl = impl_;
    // Workers leave every signal to the threads that were there before them; the mask is inherited.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread{};
    const int error = pthread_create(&thread, nullptr, &Pool::worker_entry, worker);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0) {  // EAGAIN: the threads that are there do the work
        delete worker;
        return false;
    }
    ++impl_->threads;
    ++impl_->started;
    ++impl_->waking;
    return true;
}

void* Pool::worker_entry(void* argument) {
    auto* const self = static_cast<Worker*>(argument);
    self->pool->work(*self);
    return nullptr;
}

void Pool::work(Worker& self) {
    Impl& impl = *self.impl;
    std::unique_lock lock(impl.mutex);
    --impl.waking;
    while (true) {
        while (!impl.queue.empty()) {
            const Impl::Item item = impl.queue.front();
            impl.queue.pop_front();
            lock.unlock();
            item.function(item.context);
            lock.lock();
        }
        if (impl.closed) {
            break;
        }
        self.popped = false;
        impl.idle.push_back(&self);
        const TimePoint deadline = Clock::now() + impl.idle_timeout;
        lock.unlock();
        while (self.parker.park_until(deadline) == ParkResult::interrupted) {
        }
        lock.lock();
        if (!self.popped) {
            std::erase(impl.idle, &self);
            break;
        }
        --impl.waking;
        if (self.leaving) {
            if (impl.queue.empty()) {
                break;
            }
            self.leaving = false;
            --impl.leaving;
            impl.changed.notify_all();
        }
    }
    lock.unlock();
    if (impl.hooks.on_exit != nullptr) {
        impl.hooks.on_exit();
    }
    impl.join_ended();
    lock.lock();
    --impl.threads;
    ++impl.retired;
    impl.leaving -= self.leaving ? 1 : 0;
    impl.ended.push_back(pthread_self());
    impl.changed.notify_all();
    lock.unlock();
    delete &self;
}

void Pool::retire_idle(TimePoint deadline) {
    std::unique_lock lock(impl_->mutex);
    impl_->dismiss_idle();
    impl_->wait_for(lock, deadline, [this] { return impl_->leaving == 0; });
    lock.unlock();
    impl_->join_ended();
}

std::size_t Pool::shutdown(TimePoint deadline) {
    std::unique_lock lock(impl_->mutex);
    impl_->closed = true;
    impl_->dismiss_idle();
    impl_->wait_for(lock, deadline, [this] { return impl_->threads == 0; });
    const std::size_t abandoned = impl_->threads;
    lock.unlock();
    impl_->join_ended();
    return abandoned;
}

void Pool::set_thread_hooks(ThreadHooks hooks) {
    const std::lock_guard lock(impl_->mutex);
    impl_->hooks = hooks;
}

void Pool::set_idle_timeout(std::chrono::milliseconds timeout) {
    const std::lock_guard lock(impl_->mutex);
    impl_->idle_timeout = timeout;
}

PoolStats Pool::stats() const {
    const std::lock_guard lock(impl_->mutex);
    return PoolStats{.queued = impl_->queue.size(),
                     .threads = impl_->threads,
                     .idle = impl_->idle.size(),
                     .started = impl_->started,
                     .retired = impl_->retired,
                     .thread_cap = impl_->thread_cap};
}

}  // namespace gilpool::core
