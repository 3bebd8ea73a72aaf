// Asks once how many cores there are.
#include "core/spin.hpp"

#include <atomic>

#include "core/limits.hpp"

namespace gilpool::core {

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

}  // namespace gilpool::core
