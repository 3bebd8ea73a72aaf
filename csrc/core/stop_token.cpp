// core/stop_token.cpp: sleeping on the stop word.
#include "core/stop_token.hpp"

#include <climits>

#include "core/futex.hpp"

namespace gilpool::core {

void StopToken::request_stop() noexcept {
    if (stopped_.exchange(1) == 0) {
        futex_wake(stopped_, INT_MAX);
    }
}

ParkResult StopToken::sleep_until(TimePoint deadline) const noexcept {
    while (true) {
        if (stop_requested()) {
            return ParkResult::unparked;
        }
        switch (futex_wait(stopped_, 0, deadline)) {
            case FutexResult::woken:
                continue;
            case FutexResult::timed_out:
                return ParkResult::timed_out;
            case FutexResult::interrupted:
                return ParkResult::interrupted;
        }
    }
}

}  // namespace gilpool::core
