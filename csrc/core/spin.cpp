// Asks which core this is, and once how many there are.
#include "core/spin.hpp"

#include <sched.h>

#include <atomic>
#include <thread>

#include "core/limits.hpp"

namespace gilpool::core {

int core_of_this_thread() noexcept {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

bool spinning_helps() noexcept {
    // Not a guarded static: the guard could be held by another thread at the moment of a fork.
    static std::atomic<int> answer{-1};
    int known = answer.load(std::memory_order_relaxed);
    if (known < 0) {
        known = usable_cores() > 1 ? 1 : 0;
        answer.store(known, std::memory_order_relaxed);
    }
    return known != 0;
}

void Backoff::pause() noexcept {
    constexpr int kSpins = 16;
    constexpr int kYields = 64;
    constexpr std::chrono::microseconds kSleep{50};
    if (++rounds_ <= kSpins && spinning_helps()) {
        cpu_relax();
    } else if (rounds_ <= kSpins + kYields) {
        sched_yield();
    } else {
        std::this_thread::sleep_for(kSleep);
    }
}

}  // namespace gilpool::core
