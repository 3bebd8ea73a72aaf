// bindings/spinning.hpp: short waits that burn a core because sleeping and waking would take
// longer. Any thread, never with the GIL held; no lock.
#pragma once

#include <atomic>
#include <chrono>

#include "core/clock.hpp"
#include "core/spin.hpp"

namespace gilpool::bindings {

/// Burns up to `limit`; true as soon as done() is.
template <typename Done>
bool spin_until(std::chrono::nanoseconds limit, Done done) {
    if (done()) {
        return true;
    }
    const core::TimePoint deadline = core::monotonic_now() + limit;
    do {
        for (int pause = 0; pause < 4; ++pause) {
            core::cpu_relax();
        }
        if (done()) {
            return true;
        }
    } while (core::monotonic_now() < deadline);
    return false;
}

/// Whether spinning at one place in the program has been worth it lately. Successes earn credit,
/// failures spend it; without credit only one chance of `try_every` is tried, so that a place where
/// spinning never helps burns next to nothing and a change for the better is still noticed.
/// The counters are hints: races between threads lose a credit at worst.
class SpinHabit {
  public:
    explicit constexpr SpinHabit(unsigned try_every = 16) : try_every_(try_every) {}

    /// Like spin_until, if it is worth a try; else false at once.
    template <typename Done>
    bool try_until(std::chrono::nanoseconds limit, Done done) {
        if (!worth_a_try()) {
            return false;
        }
        const bool success = spin_until(limit, done);
        record(success);
        return success;
    }

  private:
    static constexpr int kMostCredit = 16;

    bool worth_a_try() {
        if (!core::spinning_helps()) {
            return false;
        }
        return credit_.load(std::memory_order_relaxed) > 0 ||
               chances_.fetch_add(1, std::memory_order_relaxed) % try_every_ == 0;
    }

    void record(bool success) {
        const int credit = credit_.load(std::memory_order_relaxed) + (success ? 2 : -1);
        if (credit >= 0 && credit <= kMostCredit) {
            credit_.store(credit, std::memory_order_relaxed);
        }
    }

    const unsigned try_every_;
    std::atomic<int> credit_{kMostCredit};
    std::atomic<unsigned> chances_{0};
};

}  // namespace gilpool::bindings
