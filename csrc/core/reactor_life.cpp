// The reactor's life: its thread's start and end, shutdown, fork.
// Any thread may call this, with or without the GIL; under the reactor's mutex.
//
// The thread is there if anything is armed, unless a fork is under way. It ends by itself: when it
// has been idle, or when must_stop says so, and says so with Thread::ended as its last act under
// the mutex; whoever needs a thread next, or none, joins it. Threads are started and joined under
// the mutex, so there is never a second one.
//
// Fork. forking_ makes the thread leave, and whatever is armed stays where it is. The mutex is then
// held across fork(), so that the child finds every wait in one of its states, owned by its only
// thread. Had the thread not left in time (it was in a batch function), the child still does; only
// the lists that had been given away by then are beyond us. Forks from two threads take turns, and
// the thread makes a round between them.
#include <pthread.h>

#include <new>

#include "core/fork.hpp"
#include "core/notifying_wait.hpp"
#include "core/reactor.hpp"

namespace gilpool::core {
namespace {

/// How long a fork waits for one batch function to return. Long beside any that keeps the rules, on
/// a crowded machine too; short beside a program that hangs for ever because one does not.
constexpr auto kForkPatience = std::chrono::seconds(1);

/// The batch function of kNotifiesWaiters.
void notify_waiters(TimedWait* wait, void*) noexcept {
    while (wait != nullptr) {
        TimedWait* const next = wait->next();
        auto& waiters = wait->on_descriptor() ? static_cast<NotifyingFdWait*>(wait)->waiters()
                                              : static_cast<NotifyingSleep*>(wait)->waiters();
        waiters.notify_all();
        wait = next;
    }
}

/// Never destroyed: threads may outlive main.
Reactor& process_reactor() {
    static Reactor& reactor = *new Reactor;
    return reactor;
}

}  // namespace

Reactor& Reactor::process() {
    // Two statics: a fork that another thread begins meanwhile must find the reactor made, not be
    // stopped by the guard of what its own hooks are registered in.
    static const bool follows_forks = [] {
        set_fork_hooks(ForkStage::reactor, {
                                               [] { process_reactor().prepare_fork(); },
                                               [] { process_reactor().parent_after_fork(); },
                                               [] { process_reactor().child_after_fork(); },
                                           });
        return true;
    }();
    static_cast<void>(follows_forks);
    return process_reactor();
}

Reactor::Reactor(const Clock& clock, Poller::Timing timing) noexcept
    : clock_(clock), poller_(timing) {
    // The first client, hence kNotifiesWaiters.
    ended_.add_client(&notify_waiters, nullptr);
}

Reactor::~Reactor() {
    shutdown();
}

bool Reactor::ensure_thread(const Lock& lock) noexcept {
    if (thread_state_ == Thread::running) {
        return true;
    }
    // While a fork is under way nothing starts: parent_after_fork does, if anything is armed then.
    return poller_.open() == 0 && (forking_ || start_thread(lock));
}

bool Reactor::start_thread(const Lock& lock) noexcept {
    join_ended_thread(lock);
    if (!thread_.start(
            "gilpool-reactor", [](void* self) { static_cast<Reactor*>(self)->run(); }, this)) {
        return false;
    }
    thread_state_ = Thread::running;
    // For the case that nothing gets armed after all, as the descriptor is refused.
    idle_until_ = deadline_after(clock_.now(), kIdleTime);
    ++stats_.threads_started;
    return true;
}

void Reactor::join_ended_thread(const Lock&) noexcept {
    // It has let go of the mutex for the last time, so the join cannot wait for us.
    if (thread_state_ == Thread::ended) {
        thread_.join();
        thread_state_ = Thread::none;
    }
}

void Reactor::shutdown() noexcept {
    Lock lock(mutex_);
    shut_down_ = true;
    unlock_and_wake(lock, kAwake);
    lock.lock();
    changed_.wait(lock, [&] { return thread_state_ != Thread::running; });
    join_ended_thread(lock);
    end_all(lock, WaitEnd::shut_down);
    ended_.deliver(lock);
    ended_.wait_while_under_way(lock);
}

void Reactor::prepare_fork() noexcept {
    Lock lock(mutex_);
    changed_.wait(lock, [&] { return !forking_; });
    forking_ = true;
    unlock_and_wake(lock, kAwake);
    lock.lock();
    const auto away = [&] { return thread_state_ != Thread::running && !ended_.under_way(); };
    for (bool waits = true; waits;) {
        // Only a batch function is given up on; for the rest the thread needs the CPU, nothing
        // else.
        const bool amid = ended_.under_way();
        const std::uint64_t begun = ended_.begun();
        waits = !changed_.wait_for(lock, kForkPatience, away) &&
                !(amid && begun == ended_.begun() && ended_.under_way());
    }
    join_ended_thread(lock);
    lock.release();
}

void Reactor::parent_after_fork() noexcept {
    Lock lock(mutex_, std::adopt_lock);
    forking_ = false;
    changed_.notify_all();
    if (must_stop(lock) || thread_state_ == Thread::running || (armed_ == 0 && ended_.empty())) {
        return;
    }
    if (!start_thread(lock)) {
        end_all(lock, WaitEnd::failed);
        ended_.deliver(lock);
    }
}

bool Reactor::child_after_fork() noexcept {
    Lock lock(mutex_, std::adopt_lock);
    const bool whole = !ended_.under_way();
    // Threads that waited for it exist in the parent only, and its destructor would wait for them.
    new (&changed_) std::condition_variable;
    thread_.abandon();
    thread_state_ = Thread::none;
    forking_ = false;
    wake_before_ = kAwake;
    ended_.start_anew();
    stats_ = {};
    poller_.close();
    end_all(lock, WaitEnd::broken);
    fds_.restart();
    ended_.deliver(lock);
    return whole;
}

}  // namespace gilpool::core
