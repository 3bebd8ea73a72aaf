// bindings/spinning.cpp: asks once how many cores there are.
#include "bindings/spinning.hpp"

#include <thread>

namespace gilpool::bindings {

bool spinning_helps() {
    // Not a guarded static: the guard could be held by another thread at the moment of a fork.
    static std::atomic<int> answer{-1};
    int known = answer.load(std::memory_order_relaxed);
    if (known < 0) {
        known = std::thread::hardware_concurrency() > 1 ? 1 : 0;  // heeds the affinity mask
        answer.store(known, std::memory_order_relaxed);
    }
    return known != 0;
}

}  // namespace gilpool::bindings
