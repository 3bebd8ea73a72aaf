// How long a thread may burn before it sleeps: short, bounded by time, never on a single core.
// Any thread; a SpinBudget belongs to one thread.
#pragma once

#include <chrono>

#include "core/clock.hpp"

namespace gilpool::core {

/// cpu_relax() tells the core that this is a spin loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#endif
}

/// spinning_helps() is false when this process may use one core only: who spins there keeps the
/// thread it waits for from running.
bool spinning_helps() noexcept;

/// A bounded spin: `SpinBudget spin(limit); while (!ready() && spin.again()) {}`.
class SpinBudget {
  public:
    explicit SpinBudget(std::chrono::nanoseconds limit) noexcept
        : deadline_(limit > limit.zero() && spinning_helps()
                        ? std::chrono::steady_clock::now() + limit
                        : TimePoint::min()) {}

    /// again() pauses for a moment; false once the budget is spent.
    bool again() noexcept {
        if (deadline_ == TimePoint::min()) {
            return false;
        }
        for (int pause = 0; pause < kPausesPerLook; ++pause) {
            cpu_relax();
        }
        // The clock costs about as much as one pause, so it may be read on every round.
        return std::chrono::steady_clock::now() < deadline_;
    }

  private:
    static constexpr int kPausesPerLook = 4;
    TimePoint deadline_;
};

}  // namespace gilpool::core
