// What stress tests share: how long they run, and random numbers that can be repeated.
// A Random belongs to one thread.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/clock.hpp"

namespace gilpool::testing {

/// How long one stress test runs: GILPOOL_STRESS_SECONDS, or two seconds.
inline std::chrono::nanoseconds stress_time() {
    const char* const seconds = std::getenv("GILPOOL_STRESS_SECONDS");
    const double value = seconds != nullptr ? std::atof(seconds) : 2.0;
    return std::chrono::nanoseconds(static_cast<std::int64_t>(value * 1e9));
}

inline core::TimePoint stress_end() {
    return std::chrono::steady_clock::now() + stress_time();
}

/// The first seed of a run: GILPOOL_STRESS_SEED, or another one each time.
inline std::uint64_t stress_seed() {
    const char* const seed = std::getenv("GILPOOL_STRESS_SEED");
    return seed != nullptr ? std::strtoull(seed, nullptr, 10)
                           : static_cast<std::uint64_t>(
                                 std::chrono::steady_clock::now().time_since_epoch().count());
}

/// A small fast generator; good enough to choose what happens next.
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >> 27) * 0x94D049BB133111EB;
        return z ^ z >> 31;
    }
    /// A number in [0, limit).
    std::uint64_t below(std::uint64_t limit) { return next() % limit; }
    bool one_in(std::uint64_t times) { return below(times) == 0; }

  private:
    std::uint64_t state_;
};

/// A test that goes on until its time is over, and says by which seed it can be repeated if it
/// fails.
class StressTest : public ::testing::Test {
  protected:
    std::uint64_t seed = stress_seed();
    ::testing::ScopedTrace trace{__FILE__, __LINE__,
                                 ::testing::Message() << "GILPOOL_STRESS_SEED=" << seed};
    Random random{seed};
    core::TimePoint end = stress_end();
    bool over() const { return std::chrono::steady_clock::now() >= end; }
};

}  // namespace gilpool::testing
