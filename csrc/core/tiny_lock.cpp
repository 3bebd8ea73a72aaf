// The contended half of TinyLock: spin for about the length of one section, then sleep.
#include "core/tiny_lock.hpp"

#include "core/futex.hpp"
#include "core/spin.hpp"

namespace gilpool::core {

namespace {
/// The last pause between two looks before sleeping, in cpu_relax(); all of them take longer than a
/// section unless its holder lost the CPU. Each is twice as long as the one before: every look
/// takes the line from the holder, who may get through many sections in the meantime.
constexpr int kMostPauses = 64;
}  // namespace

bool TinyLock::lock_slowly() noexcept {
    const std::uint32_t mine = held_word();
    for (int pauses = spinning_helps() ? 1 : 2 * kMostPauses; pauses <= kMostPauses; pauses *= 2) {
        for (int i = 0; i < pauses; ++i) {
            cpu_relax();
        }
        std::uint32_t seen = word_.load(std::memory_order_relaxed);
        if ((seen == kFree || stale(seen)) &&
            word_.compare_exchange_weak(seen, mine, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
            return seen != kFree;
        }
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
