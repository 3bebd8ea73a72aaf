// bindings/wakeups.hpp: threads in get() or join() whose wait is over but who are woken a little
// later, in a batch. Any thread, with or without the GIL; one mutex guards the list, held for a few
// instructions and never while waking or while taking the GIL.
//
// A woken waiter wants the GIL. While a runner keeps it, waking only adds a contender that costs
// the runner a forced switch: measured 294 hand-overs instead of 74 in 600 tasks of 0.3 ms. So a
// runner collects the wake-ups of what it finishes and lets them go when it lets the GIL go, when
// the oldest is kOldestWakeup old, or before it runs a task with nothing queued behind it.
//
// Invariant: while wake-ups are collected, their collector is on its way to wake_collected()
// without running foreign code (for which it wakes first: PromptWakeups), or more is queued and a
// spare is on its way which does it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "core/clock.hpp"
#include "core/parker.hpp"
#include "core/waiters.hpp"

namespace gilpool::bindings {

inline constexpr std::chrono::milliseconds kOldestWakeup{2};

/// A thread that waits in a core::WaitList. Its storage is the waiting thread's stack frame, which
/// goes as soon as leave() has returned.
class PatientWaiter : public core::Waiter {
  public:
    PatientWaiter() noexcept : Waiter(&PatientWaiter::on_notify) {}

    /// True once this waiter has been woken.
    bool woken() const noexcept { return wake_.load() >= kWoken; }

    /// True once what was waited for has happened, even if the wake-up is still to come.
    bool notified() noexcept;

    /// Where the owner sleeps in wait_until: an unpark ends that early, as `unparked` without
    /// woken().
    core::Parker& parker() noexcept { return parker_; }

    /// Blocks the owner until woken (unparked), `deadline` or a signal; spins a little first.
    core::ParkResult wait_until(core::TimePoint deadline);

    /// Ends the owner's interest, after it is in no core::WaitList any more. Afterwards nobody
    /// touches the waiter.
    void leave() noexcept;

  private:
    friend void wake_collected() noexcept;

    enum class Place : std::uint8_t { nowhere, collected, in_hand };

    static void on_notify(core::Waiter& waiter) noexcept;
    void wake() noexcept;

    // Only the owner goes between kSpinning and kParked. A waker goes to kWoken, and if it found
    // kParked there it unparks and then goes to kDone; the owner does not leave before that. The
    // permit itself says nothing: somebody else may have unparked, too.
    static constexpr int kSpinning = 0;
    static constexpr int kParked = 1;
    static constexpr int kWoken = 2;
    static constexpr int kDone = 3;

    std::atomic<int> wake_{kSpinning};
    core::Parker parker_;
    Place place_ = Place::nowhere;  ///< guarded, like the links, by the list's mutex
    PatientWaiter* previous_ = nullptr;
    PatientWaiter* next_ = nullptr;
};

/// Says whether the calling thread collects the wake-ups of what it finishes (a worker that serves
/// the queue) or wakes at once (everybody else).
void collect_wakeups(bool collect);

/// Wakes whom anybody has collected.
void wake_collected() noexcept;

/// For a scope in which a thread that collects runs foreign code (a callback, a destructor): wakes
/// whom it has collected, and then at once, for there is no telling how long that takes, nor
/// whether it waits for the very thread that is to be woken.
class PromptWakeups {
  public:
    PromptWakeups() noexcept;
    ~PromptWakeups();
    PromptWakeups(const PromptWakeups&) = delete;
    PromptWakeups& operator=(const PromptWakeups&) = delete;

  private:
    bool collected_;
};

/// True if the oldest collected wake-up should not wait any longer.
bool wakeups_are_overdue(core::TimePoint now) noexcept;

/// In a forked child: the waiters were other threads.
void forget_collected_wakeups();

}  // namespace gilpool::bindings
