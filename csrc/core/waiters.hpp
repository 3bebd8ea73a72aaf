// core/waiters.hpp: who wants to be told that something happened, as an intrusive list.
// Any thread, with or without the GIL; the list's own lock is held for a few instructions and one
// wake.
//
// Invariant: a waiter is in a list from add() until the list notifies or removes it. Notification
// runs under the list's lock, so when remove() has returned nobody touches the waiter any more and
// its storage (usually a stack frame) may go.
#pragma once

#include <cstddef>
#include <mutex>

#include "core/parker.hpp"

namespace gilpool::core {

class Waiter {
  public:
    /// Called once, under the list's lock: it must not block, throw, or call the list.
    using Notify = void (*)(Waiter&) noexcept;

    explicit Waiter(Notify notify) noexcept : notify_(notify) {}
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

  private:
    friend class WaitList;
    Notify notify_;
    Waiter* previous_ = nullptr;
    Waiter* next_ = nullptr;
    bool listed_ = false;
};

class WaitList {
  public:
    WaitList() = default;
    WaitList(const WaitList&) = delete;
    WaitList& operator=(const WaitList&) = delete;

    /// Appends `waiter`; notification is in the order of adding.
    void add(Waiter& waiter) noexcept;

    /// Takes `waiter` out; false if it has been notified already. Afterwards it is not touched any
    /// more.
    bool remove(Waiter& waiter) noexcept;

    /// Notifies and empties the list.
    void notify_all() noexcept;

    /// Notifies the waiter that has waited longest; false if there is none.
    bool notify_one() noexcept;

    /// True if nobody waits; a hint unless the caller excludes add().
    bool empty() const noexcept;

  private:
    Waiter* unlink(Waiter& waiter) noexcept;

    mutable std::mutex mutex_;
    Waiter* first_ = nullptr;
    Waiter* last_ = nullptr;
};

/// Wakes the one native thread that created it.
class ThreadWaiter : public Waiter {
  public:
    ThreadWaiter() noexcept : Waiter(&ThreadWaiter::on_notify) {}

    /// Blocks the creating thread until notified, `deadline`, or a signal.
    ParkResult wait_until(TimePoint deadline) noexcept;

    bool notified() const noexcept { return notified_.load(); }

  private:
    static void on_notify(Waiter& waiter) noexcept;

    std::atomic<bool> notified_{false};
    Parker parker_;
};

}  // namespace gilpool::core
