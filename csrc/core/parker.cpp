// core/parker.cpp: park and unpark on a futex word.
#include "core/parker.hpp"

#include "core/futex.hpp"

namespace gilpool::core {

ParkResult Parker::park_until(TimePoint deadline) noexcept {
    while (true) {
        if (permit_.exchange(0) != 0) {
            return ParkResult::unparked;
        }
        const FutexResult result = futex_wait(permit_, 0, deadline);
        if (result == FutexResult::woken) {
            continue;
        }
        if (permit_.exchange(0) != 0) {  // granted while the wait was ending: the grant wins
            return ParkResult::unparked;
        }
        return result == FutexResult::timed_out ? ParkResult::timed_out : ParkResult::interrupted;
    }
}

void Parker::unpark() noexcept {
    if (permit_.exchange(1) == 0) {
        futex_wake(permit_, 1);
    }
}

}  // namespace gilpool::core
