// core/parker.hpp: a one-permit parking place for one thread.
// park_until is called by the owning thread only, unpark by any thread; neither takes a lock or the
// GIL.
//
// Invariant: permit_ is 1 exactly while an unpark has not been consumed. The owner sleeps only on
// the value 0, and the kernel compares the word again before it sleeps, so an unpark that comes
// between the owner's look and its sleep is never lost. Both sides use seq_cst exchanges: what the
// waker wrote before unpark is visible to the owner after park_until returned unparked.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/clock.hpp"

namespace gilpool::core {

enum class ParkResult {
    unparked,    ///< a permit was consumed
    timed_out,   ///< the deadline passed without one
    interrupted  ///< a signal handler ran on this thread
};

class Parker {
  public:
    Parker() = default;
    Parker(const Parker&) = delete;
    Parker& operator=(const Parker&) = delete;

    /// Blocks until a permit is there (and consumes it), `deadline`, or a signal.
    ParkResult park_until(TimePoint deadline) noexcept;

    /// Grants the permit; further grants before it is consumed add nothing.
    void unpark() noexcept;

  private:
    std::atomic<std::uint32_t> permit_{0};
};

}  // namespace gilpool::core
