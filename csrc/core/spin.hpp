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

/// core_of_this_thread() returns the number of the core that runs the calling thread at this
/// moment, or -1 where the system does not tell that for a few nanoseconds.
int core_of_this_thread() noexcept;

/// spinning_helps() is false when this process may use one core only: who spins there keeps the
/// thread it waits for from running.
bool spinning_helps() noexcept;

/// A bounded spin: `SpinBudget spin(limit); while (!ready() && spin.again()) {}`.
class SpinBudget {
  public:
    explicit SpinBudget(std::chrono::nanoseconds limit, TimePoint now = monotonic_now()) noexcept
        : deadline_(limit > limit.zero() && spinning_helps() ? now + limit : TimePoint::min()) {}

    /// again() pauses for a moment; false once the budget is spent.
    bool again() noexcept {
        if (deadline_ == TimePoint::min()) {
            return false;
        }
        cpu_relax();
        // The clock costs about as much as a pause: not on every round, so that the looks between
        // are close to each other and an answer is seen at once.
        return ++looks_ % kLooksPerClock != 0 || std::chrono::steady_clock::now() < deadline_;
    }

  private:
    static constexpr unsigned kLooksPerClock = 4;
    TimePoint deadline_;
    unsigned looks_ = 0;
};

/// Waits for a few instructions of another thread, which may have lost its core amid them: pauses,
/// then lets others have this core, then sleeps, lest it keep the other thread from its own.
class Backoff {
  public:
    void pause() noexcept;

  private:
    int rounds_ = 0;
};

/// Guesses how long a spin should last, from how the last wait of this kind went. If the answer was
/// made on another core and soon, a spin would have caught it, and would have saved two wake-ups;
/// if it was made on this core, a spin would only have kept who makes it from running. So a wrong
/// guess corrects itself after one wait, whether that wait spun or slept.
class SpinGuess {
  public:
    /// limit() returns what the next wait may burn: `patient` if the last one shows that it pays,
    /// nothing if it shows that it hurts, `cautious` if it shows neither.
    std::chrono::nanoseconds limit(std::chrono::nanoseconds cautious,
                                   std::chrono::nanoseconds patient) const noexcept {
        return last_ == Last::elsewhere ? patient
               : last_ == Last::here    ? std::chrono::nanoseconds::zero()
                                        : cautious;
    }

    /// learn() is told of a wait that slept: on which core it would have spun, where the answer was
    /// made, and how long it took.
    void learn(int here, int there, std::chrono::nanoseconds took) noexcept {
        const bool known = here >= 0 && there >= 0 && took < kSoon;
        last_ = !known ? Last::unknown : here == there ? Last::here : Last::elsewhere;
    }

  private:
    /// Longer than it takes to wake a thread on a core that sleeps, which is part of the answer.
    static constexpr std::chrono::microseconds kSoon{100};
    /// Where the last answer was made, if it came soon.
    enum class Last : unsigned char { unknown, here, elsewhere };
    Last last_ = Last::unknown;
};

}  // namespace gilpool::core
