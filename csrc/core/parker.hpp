// One-permit parking of one thread: unpark() leaves a permit, park_until() waits for it and takes
// it. One thread parks, any thread unparks; no lock.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/clock.hpp"

namespace gilpool::core {

/// Why park_until() came back.
enum class ParkResult : std::uint8_t {
    unparked,     // a permit was there, and has been taken
    timed_out,    // the deadline passed without one
    interrupted,  // a signal handler ran in this thread
};

/// Invariant: the word is kEmpty, kPermit, or kParked while the owner sleeps or is about to. Only
/// the owner writes kParked, by CAS from kEmpty, so a permit is never overwritten; the kernel
/// compares the word with kParked before it sleeps, so a permit that came in between is never slept
/// through.
///
/// Memory order: unpark() releases and park_until() acquires on this one word, so everything
/// written before unpark() is visible after `unparked`. The condition to wait for *is* the word;
/// there is no second variable to order against, hence no seq_cst.
class Parker {
  public:
    Parker() = default;
    Parker(const Parker&) = delete;
    Parker& operator=(const Parker&) = delete;

    /// park_until() blocks the calling thread until a permit is there, and takes it. A deadline in
    /// the past only asks. kNever waits for ever.
    ParkResult park_until(TimePoint deadline);

    /// unpark() leaves a permit (at most one is kept) and wakes the thread that waits for it.
    /// The object may be gone as soon as the permit can be seen; nothing of it is read after that.
    void unpark() noexcept {
        if (const auto* word = leave_permit()) {
            wake(word);
        }
    }

    /// leave_permit() is unpark() without the wake: null, or what to give to wake(). For who must
    /// first let go of a lock that the woken thread will want.
    const std::atomic<std::uint32_t>* leave_permit() noexcept {
        return word_.exchange(kPermit, std::memory_order_release) == kParked ? &word_ : nullptr;
    }
    static void wake(const std::atomic<std::uint32_t>* word) noexcept;

    /// has_permit() is true if park_until() would return at once; what was written before unpark()
    /// is visible then.
    bool has_permit() const noexcept { return word_.load(std::memory_order_acquire) == kPermit; }

  private:
    static constexpr std::uint32_t kEmpty = 0;
    static constexpr std::uint32_t kPermit = 1;
    static constexpr std::uint32_t kParked = 2;

    std::atomic<std::uint32_t> word_{kEmpty};
};

}  // namespace gilpool::core
