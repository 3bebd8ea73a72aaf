// The sleeping half of Parker.
#include "core/parker.hpp"

#include <algorithm>

#include "core/futex.hpp"
#include "core/thread_shortage.hpp"

namespace gilpool::core {

ParkResult Parker::park_until(TimePoint deadline) {
    std::uint32_t seen = kEmpty;
    if (!word_.compare_exchange_strong(seen, kParked, std::memory_order_acquire,
                                       std::memory_order_acquire)) {
        // Only unpark() writes besides the owner, so this is a permit; the failed CAS acquired it.
        word_.store(kEmpty, std::memory_order_relaxed);
        return ParkResult::unparked;
    }
    ThreadShortage::Naps naps;
    while (true) {
        const TimePoint until = std::min(deadline, naps.next_end());
        const FutexResult result = futex_wait(word_, kParked, until);
        if (word_.load(std::memory_order_acquire) == kPermit) {
            word_.store(kEmpty, std::memory_order_relaxed);
            return ParkResult::unparked;
        }
        if (result == FutexResult::woken) {
            continue;
        }
        if (result == FutexResult::timed_out && until < deadline) {
            // Who is waited for here may be what nobody can begin.
            ThreadShortage::ask_again();
            continue;
        }
        // Leaving without a permit: it may still arrive before the word says that nobody sleeps.
        seen = kParked;
        if (word_.compare_exchange_strong(seen, kEmpty, std::memory_order_acquire,
                                          std::memory_order_acquire)) {
            return result == FutexResult::timed_out ? ParkResult::timed_out
                                                    : ParkResult::interrupted;
        }
        word_.store(kEmpty, std::memory_order_relaxed);
        return ParkResult::unparked;
    }
}

void Parker::wake(const std::atomic<std::uint32_t>* word) noexcept {
    futex_wake(word, 1);
}

}  // namespace gilpool::core
