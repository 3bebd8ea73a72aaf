// The contended half of TinyLock: spin for about the length of one section, then sleep.
#include "core/tiny_lock.hpp"

#include "core/futex.hpp"
#include "core/spin.hpp"

namespace gilpool::core {

namespace {
/// Looks before sleeping; a section is shorter than this unless its holder lost the CPU.
constexpr int kLooksBeforeSleep = 100;
}  // namespace

bool TinyLock::lock_slowly() noexcept {
    const std::uint32_t mine = held_word();
    for (int look = spinning_helps() ? 0 : kLooksBeforeSleep; look < kLooksBeforeSleep; ++look) {
        std::uint32_t seen = word_.load(std::memory_order_relaxed);
        if ((seen == kFree || stale(seen)) &&
            word_.compare_exchange_weak(seen, mine, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
            return seen != kFree;
        }
        cpu_relax();
    }
    // From here on the word is taken with the sleepers' bit set, since others may sleep already:
    // the price is one wake too many at the end of the queue, never one too few.
    while (true) {
        const std::uint32_t seen = word_.exchange(mine | kSleepers, std::memory_order_acquire);
        if (seen == kFree || stale(seen)) {
            return seen != kFree;
        }
        futex_wait(word_, mine | kSleepers, kNever);
    }
}

void TinyLock::wake_one() noexcept {
    futex_wake(&word_, 1);
}

}  // namespace gilpool::core
