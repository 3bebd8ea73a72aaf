// Stop tokens: a request ends sleeps that go on and sleeps that come later.
#include "core/stop_token.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace gilpool::core {
namespace {

using namespace std::chrono_literals;

TEST(StopToken, SleepsToTheDeadlineWithoutARequest) {
    StopToken token;
    const TimePoint deadline = Clock::now() + 20ms;
    EXPECT_EQ(token.sleep_until(deadline), ParkResult::timed_out);
    EXPECT_GE(Clock::now(), deadline);
    EXPECT_FALSE(token.stop_requested());
}

TEST(StopToken, RequestWinsOverASleepThatComesLater) {
    StopToken token;
    token.request_stop();
    token.request_stop();
    EXPECT_TRUE(token.stop_requested());
    EXPECT_EQ(token.sleep_until(kNever), ParkResult::unparked);
}

TEST(StopToken, OneRequestWakesEverySleeper) {
    StopToken token;
    std::atomic<int> asleep{0};
    std::vector<std::thread> sleepers;
    for (int i = 0; i < 8; ++i) {
        sleepers.emplace_back([&] {
            ++asleep;
            EXPECT_EQ(token.sleep_until(kNever), ParkResult::unparked);
        });
    }
    while (asleep.load() < 8) {
        std::this_thread::yield();
    }
    token.request_stop();
    for (std::thread& sleeper : sleepers) {
        sleeper.join();  // a sleeper that missed the request would hang here
    }
}

}  // namespace
}  // namespace gilpool::core
