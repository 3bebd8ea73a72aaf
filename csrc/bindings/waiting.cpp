// bindings/waiting.cpp: the wait loop that lets signals and kills through.
#include "bindings/waiting.hpp"

#include <algorithm>

#include "bindings/gil.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_kill.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

/// Parks, GIL released, until done() holds, `deadline`, or an exception. A kill of the task that
/// the thread runs unparks it.
template <typename Done>
WaitOutcome park(core::Parker& parker, core::TimePoint deadline, Done done) {
    TaskObject* const task = current_task();
    const bool sees_signals = is_main_thread();
    while (!done()) {
        if (deliver_kill(task)) {
            return WaitOutcome::raised;
        }
        core::TimePoint until = deadline;
        if (sees_signals) {
            until = std::min(deadline, core::Clock::now() + kSignalSlice);
        }
        if (task != nullptr) {
            task->parked = &parker;
        }
        core::ParkResult result{};
        {
            const Released released;
            result = parker.park_until(until);
        }
        if (task != nullptr) {
            task->parked = nullptr;
        }
        if (done()) {
            break;
        }
        if (sees_signals && PyErr_CheckSignals() != 0) {
            return WaitOutcome::raised;
        }
        if (result == core::ParkResult::timed_out && until == deadline) {
            return deliver_kill(task) ? WaitOutcome::raised : WaitOutcome::timed_out;
        }
    }
    return WaitOutcome::notified;
}

}  // namespace

void ListedWaiter::Entry::on_notify(core::Waiter& waiter) noexcept {
    auto& self = static_cast<Entry&>(waiter);
    self.notified.store(true);
    self.parker.unpark();
}

WaitOutcome ListedWaiter::wait_until(core::TimePoint deadline) {
    if (entry_.notified.load()) {
        return WaitOutcome::notified;
    }
    TaskObject* const task = current_task();
    PoolObject* const pool = task != nullptr ? task->pool : nullptr;
    if (pool != nullptr) {
        lend_slot(pool);
    }
    const WaitOutcome outcome =
        park(entry_.parker, deadline, [this] { return entry_.notified.load(); });
    if (pool != nullptr) {
        take_lent_slot_back(pool);
    }
    return outcome;
}

WaitOutcome sleep_released(core::TimePoint deadline) {
    core::Parker parker;
    return park(parker, deadline, [] { return false; });
}

}  // namespace gilpool::bindings
