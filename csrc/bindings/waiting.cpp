// bindings/waiting.cpp: the wait loop that lets the main thread see signals.
#include "bindings/waiting.hpp"

#include <algorithm>

#include "bindings/gil.hpp"

namespace gilpool::bindings {

WaitOutcome ListedWaiter::wait_until(core::TimePoint deadline) {
    const bool sees_signals = is_main_thread();
    while (!waiter_.notified()) {
        core::TimePoint until = deadline;
        if (sees_signals) {
            until = std::min(deadline, core::Clock::now() + kSignalSlice);
        }
        core::ParkResult result{};
        {
            const Released released;
            result = waiter_.wait_until(until);
        }
        if (waiter_.notified()) {
            break;
        }
        if (sees_signals && PyErr_CheckSignals() != 0) {
            return WaitOutcome::raised;
        }
        if (result == core::ParkResult::timed_out && until == deadline) {
            return WaitOutcome::timed_out;
        }
    }
    return WaitOutcome::notified;
}

}  // namespace gilpool::bindings
