// Waits whose end is told to waiters: what a native thread uses to sleep in the reactor.
// Any thread may add and remove waiters; the list has its own tiny lock.
#pragma once

#include "core/timed_wait.hpp"
#include "core/waiters.hpp"

namespace gilpool::core {

/// The client that every reactor has by itself: it notifies all waiters of each wait that ended.
/// Its waits must be of the two types below.
inline constexpr ReactorClient kNotifiesWaiters{0};

/// A sleep or a descriptor wait with a list of who is to be told when it ends.
///
///     NotifyingSleep sleep;
///     ThreadWaiter waiter;
///     sleep.waiters().add(waiter);
///     if (reactor.arm(sleep, deadline) == ArmResult::armed) {
///         waiter.wait_until(kNever);
///         reactor.cancel(sleep);  // ended or not: from here on nobody touches it
///     }
///     sleep.waiters().remove(waiter);
///
/// Waiters are added before the arm: one that comes after the end is not told.
template <class Wait>
class Notifying : public Wait {
  public:
    template <class... Arguments>
    explicit Notifying(Arguments... arguments) noexcept : Wait(kNotifiesWaiters, arguments...) {}

    WaitList& waiters() noexcept { return waiters_; }

  private:
    WaitList waiters_;
};

using NotifyingSleep = Notifying<TimedWait>;
using NotifyingFdWait = Notifying<FdWait>;

}  // namespace gilpool::core
