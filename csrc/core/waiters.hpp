// Who wants to be told: an intrusive list of waiters with its own tiny lock.
// Any thread, with or without the GIL; a waiter is notified at most once per add().
#pragma once

#include <atomic>
#include <cstdint>

#include "core/clock.hpp"
#include "core/fork.hpp"
#include "core/parker.hpp"
#include "core/spin.hpp"
#include "core/tiny_lock.hpp"

namespace gilpool::core {

/// One party that waits. It is in at most one list, and must be out of it (notified or removed)
/// before it is destroyed.
///
/// `notify` runs on the notifying thread under the list's lock: it must be short, must not touch
/// that list and must not wait for anything that could want it (a GIL, say).
class Waiter {
  public:
    using Notify = void (*)(Waiter&) noexcept;

    explicit Waiter(Notify notify) noexcept : notify_(notify) {}
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

  private:
    friend class WaitList;

    Notify notify_;
    Waiter* next_ = nullptr;  // null: in no list; guarded by the list's lock, like previous_
    Waiter* previous_ = nullptr;
    std::uint32_t generation_ = 0;  // fork generation of the add()
};

/// A waiter that is a native thread. Only the thread that made it may wait.
class ThreadWaiter : public Waiter {
  public:
    ThreadWaiter() noexcept : Waiter(&ThreadWaiter::on_notify) {}

    /// spin_until() looks for `ready()` for as long as a spin may last; true if it came. For who
    /// can see the answer without being told: he need not get into the list then. Before add().
    template <class Ready>
    bool spin_until(TimePoint deadline, Ready ready) noexcept {
        SpinBudget spin = begin_spin(deadline);
        while (!ready()) {
            if (!spin.again()) {
                return false;
            }
        }
        return true;
    }

    /// wait_until() blocks until notified (`unparked`, also if that was earlier), until the
    /// deadline, or until a signal handler has run. Spins for a moment first, unless that has been
    /// done; see kSpin. After `unparked` the waiter is in no list, and nobody touches it.
    ParkResult wait_until(TimePoint deadline);

    /// notified() is true once the list has told this waiter.
    bool notified() const noexcept { return seen_ || parker_.has_permit(); }

    /// What a wait may burn before it sleeps. An answer from a thread that runs comes in 0.3 us; a
    /// thread that must be woken is often woken on this very core, and a longer spin keeps it off.
    static constexpr std::chrono::nanoseconds kSpin{1'000};
    /// The same if the last answer came from another core: what it takes to wake a core that
    /// sleeps.
    static constexpr std::chrono::nanoseconds kPatientSpin{50'000};

  private:
    friend class WaitList;
    static void on_notify(Waiter& waiter) noexcept;
    /// leave_permit() is Parker::leave_permit(), with a note of where it was called.
    const std::atomic<std::uint32_t>* leave_permit() noexcept;
    SpinBudget begin_spin(TimePoint deadline) noexcept;

    Parker parker_;
    int told_on_ = -1;  // the notifier's core; published by the permit
    // The rest is the waiting thread's own.
    bool seen_ = false;  // the permit has been taken
    bool spun_ = false;  // then from `began_` on, and on the core `here_`
    int here_ = -1;
    TimePoint began_;
};

/// The list. Notifies in the order of add().
///
/// Fork: in the child a list is empty. Who waited in it were other threads, whose stacks, where
/// their waiters stood, the child uses for something else: so the ring is not even looked at. (The
/// thread that forks waits nowhere meanwhile.)
///
/// Lifetime: a notifier touches neither the list nor a waiter after it has let go of the lock, and
/// remove() and the destructor take that lock; so whoever was told may, after remove(), destroy
/// both.
class WaitList {
  public:
    WaitList() = default;
    ~WaitList();
    WaitList(const WaitList&) = delete;
    WaitList& operator=(const WaitList&) = delete;

    /// add() puts the waiter at the end. It must be in no list.
    void add(Waiter& waiter) noexcept;

    /// remove() takes the waiter out; false if it has been notified already or was never in. After
    /// it returns the waiter is not touched any more.
    bool remove(Waiter& waiter) noexcept;

    /// empty() looks without the lock: only for an owner that keeps every add() and remove() out
    /// meanwhile by other means (the GIL, say).
    bool empty() const noexcept { return last_ == nullptr || generation_ != fork_generation(); }

    /// notify_all() takes every waiter out and tells it.
    void notify_all() noexcept;

    /// notify_one() does so with the one that waits longest; false if there was none.
    bool notify_one() noexcept;

    /// The list's lock, held, for an owner whose own state changes in the same step. Threads that
    /// were notified are woken after the lock is free, so that they do not run into it.
    class Section {
      public:
        explicit Section(WaitList& list) noexcept;
        ~Section();
        Section(const Section&) = delete;
        Section& operator=(const Section&) = delete;

        void add(Waiter& waiter) noexcept;
        bool remove(Waiter& waiter) noexcept;
        void notify_all() noexcept;
        bool notify_one() noexcept;
        bool empty() const noexcept { return list_.last_ == nullptr; }

      private:
        static constexpr int kWakesKept = 8;

        WaitList& list_;
        int wakes_ = 0;
        const std::atomic<std::uint32_t>* wake_[kWakesKept];
    };

  private:
    void unlink(Waiter& waiter) noexcept;

    TinyLock lock_;
    std::uint32_t generation_ = 0;  // fork generation of the waiters in the ring
    Waiter* last_ = nullptr;        // a ring: last_->next_ is the first
};

}  // namespace gilpool::core
