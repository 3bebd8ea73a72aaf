// bindings/waiting.cpp: the wait loop that lets signals and kills through.
#include "bindings/waiting.hpp"

#include <algorithm>

#include "bindings/admission.hpp"
#include "bindings/courtesy.hpp"
#include "bindings/gil.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_kill.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

/// Has the thread sleep by sleep_until(moment), GIL released, until done() holds, `deadline`, or an
/// exception. A kill of the task that the thread runs unparks `parker`, in which it sleeps.
template <typename SleepUntil, typename Done>
WaitOutcome park(core::Parker& parker, core::TimePoint deadline, SleepUntil sleep_until,
                 Done done) {
    TaskObject* const task = current_task();
    const bool sees_signals = is_main_thread();
    while (!done()) {
        if (deliver_kill(task)) {
            return WaitOutcome::raised;
        }
        core::TimePoint until = deadline;
        if (sees_signals) {
            until = std::min(deadline, core::monotonic_now() + kSignalSlice);
        }
        if (task != nullptr) {
            task->parked = &parker;
        }
        core::ParkResult result{};
        lend_runner_role();
        {
            const Released released;
            result = sleep_until(until);
        }
        if (task != nullptr) {
            task->parked = nullptr;
        }
        if (done()) {
            break;
        }
        if (sees_signals && !look_for_signals()) {
            return WaitOutcome::raised;
        }
        if (result == core::ParkResult::timed_out && until == deadline) {
            return deliver_kill(task) ? WaitOutcome::raised : WaitOutcome::timed_out;
        }
    }
    return WaitOutcome::notified;
}

}  // namespace

bool look_for_signals() {
    note_visit();
    return PyErr_CheckSignals() == 0;
}

WaitOutcome ListedWaiter::wait_until(core::TimePoint deadline) {
    return wait_for(waiter_, deadline);
}

WaitOutcome wait_for(PatientWaiter& waiter, core::TimePoint deadline) {
    if (waiter.woken()) {
        return WaitOutcome::notified;
    }
    // Who only asks does not wait: the slot would be gone for nothing.
    const bool lent = core::monotonic_now() < deadline && lend_own_slot();
    WaitOutcome outcome = park(
        waiter.parker(), deadline,
        [&waiter](core::TimePoint until) { return waiter.wait_until(until); },
        [&waiter] { return waiter.woken(); });
    if (outcome == WaitOutcome::timed_out && waiter.notified()) {
        outcome = WaitOutcome::notified;  // the wake-up was on its way
    }
    if (lent) {
        take_own_slot_back();
    }
    return outcome;
}

bool Breath::take() {
    return (++items_ % kLook != 0 || take_if_due()) && !deliver_kill(current_task());
}

bool Breath::take_if_due() {
    const core::TimePoint now = core::monotonic_now();
    if (now - last_ < kEvery) {
        return true;
    }
    {
        const Released released;
    }
    last_ = core::monotonic_now();
    return !is_main_thread() || look_for_signals();
}

WaitOutcome sleep_released(core::TimePoint deadline) {
    core::Parker parker;
    return park(
        parker, deadline, [&parker](core::TimePoint until) { return parker.park_until(until); },
        [] { return false; });
}

}  // namespace gilpool::bindings
