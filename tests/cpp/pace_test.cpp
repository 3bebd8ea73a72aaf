// Pace: the average holds, whether its user is quick, late or stops for a while.
#include "core/pace.hpp"

#include <gtest/gtest.h>

namespace gilpool::core {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

constexpr microseconds kInterval{80};
constexpr microseconds kSlack{1'000};
constexpr TimePoint kBegin{std::chrono::hours(1)};

/// When the last of `count` starts is made by somebody who needs `each` for one and waits as told.
TimePoint start(Pace& pace, int count, nanoseconds each, TimePoint now) {
    for (int i = 0; i < count; ++i) {
        now += pace.ahead(now) + each;
        pace.note_start(now);
    }
    return now;
}

TEST(Pace, AQuickUserKeepsTheAverage) {
    Pace pace(kInterval, kSlack);
    const nanoseconds took = start(pace, 10'000, microseconds(10), kBegin) - kBegin;
    EXPECT_GE(took, 10'000 * kInterval - 2 * kSlack);
    EXPECT_LE(took, 10'000 * kInterval + kSlack);
}

TEST(Pace, ASlowUserIsNotHeldUp) {
    Pace pace(kInterval, kSlack);
    EXPECT_EQ(start(pace, 1'000, microseconds(90), kBegin), kBegin + 1'000 * microseconds(90));
}

TEST(Pace, AWaitIsWorthASleep) {
    Pace pace(kInterval, kSlack);
    for (int i = 0; i < 1'000; ++i) {
        pace.note_start(kBegin);
        const nanoseconds ahead = pace.ahead(kBegin);
        EXPECT_TRUE(ahead == nanoseconds::zero() || ahead > kSlack) << ahead.count();
    }
}

TEST(Pace, APauseIsNotSavedUp) {
    Pace pace(kInterval, kSlack);
    const TimePoint later = start(pace, 1'000, microseconds(10), kBegin) + std::chrono::minutes(1);
    const nanoseconds took = start(pace, 1'000, microseconds(10), later) - later;
    EXPECT_GE(took, 1'000 * kInterval - 2 * kSlack);
}

}  // namespace
}  // namespace gilpool::core
