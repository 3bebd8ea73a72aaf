// A four-byte mutex for sections of a few dozen instructions, which a fork cannot leave locked.
// Any thread; not recursive. Works with std::lock_guard.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/fork.hpp"

namespace gilpool::core {

/// The word is 0 when free, else the holder's fork generation with a bit that says whether somebody
/// sleeps. A word of an older generation was locked by a thread that the fork did not copy: it
/// counts as free, and who takes it is told, since what it guards may be half changed.
class TinyLock {
  public:
    TinyLock() = default;
    TinyLock(const TinyLock&) = delete;
    TinyLock& operator=(const TinyLock&) = delete;

    /// lock() blocks until the lock is held. True if it was inherited from a thread lost in a fork.
    bool lock() noexcept {
        std::uint32_t seen = kFree;
        // Acquire pairs with the release in unlock(): what the last holder wrote is visible.
        if (word_.compare_exchange_strong(seen, held_word(), std::memory_order_acquire,
                                          std::memory_order_relaxed)) {
            return false;
        }
        return lock_slowly();
    }

    /// try_lock() takes the lock if it is free, as free(); false if somebody holds it, the calling
    /// thread too.
    bool try_lock() noexcept {
        std::uint32_t seen = word_.load(std::memory_order_relaxed);
        return (seen == kFree || stale(seen)) &&
               word_.compare_exchange_strong(seen, held_word(), std::memory_order_acquire,
                                             std::memory_order_relaxed);
    }

    /// unlock() frees the lock. The exchange is the last access to this object: the next holder
    /// may destroy it at once (the wake that may follow uses only the address).
    void unlock() noexcept {
        if ((word_.exchange(kFree, std::memory_order_release) & kSleepers) != 0) {
            wake_one();
        }
    }

    /// free() is true if nobody of this process holds the lock, and everything that the last holder
    /// wrote is visible then.
    bool free() const noexcept {
        const std::uint32_t seen = word_.load(std::memory_order_acquire);
        return seen == kFree || stale(seen);
    }

  private:
    static constexpr std::uint32_t kFree = 0;
    static constexpr std::uint32_t kHeld = 1;
    static constexpr std::uint32_t kSleepers = 2;
    static constexpr int kGenerationShift = 2;

    static std::uint32_t held_word() noexcept {
        return fork_generation() << kGenerationShift | kHeld;
    }
    static bool stale(std::uint32_t seen) noexcept {
        return (seen | kSleepers) != (held_word() | kSleepers);
    }
    bool lock_slowly() noexcept;
    void wake_one() noexcept;

    std::atomic<std::uint32_t> word_{kFree};
};

}  // namespace gilpool::core
