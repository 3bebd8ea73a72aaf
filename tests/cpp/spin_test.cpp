// Spinning: a budget ends, and what the next wait may burn follows from how the last one went.
#include "core/spin.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <chrono>

namespace gilpool::core {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds kCautious = 1us, kPatient = 50us;

TEST(SpinBudget, EndsAndNotBeforeItsTime) {
    const auto begin = std::chrono::steady_clock::now();
    SpinBudget spin(200us);
    while (spin.again()) {
    }
    if (spinning_helps()) {
        EXPECT_GE(std::chrono::steady_clock::now() - begin, 200us);
    }
    EXPECT_FALSE(SpinBudget(0ns).again());
}

TEST(SpinGuess, IsCautiousUntilASpinWouldHavePaid) {
    SpinGuess guess;
    EXPECT_EQ(guess.limit(kCautious, kPatient), kCautious);
    guess.learn(0, 1, 30us);
    EXPECT_EQ(guess.limit(kCautious, kPatient), kPatient);
}

TEST(SpinGuess, DoesNotSpinWhereTheAnswerIsMadeOnTheSameCore) {
    SpinGuess guess;
    guess.learn(0, 1, 30us);
    guess.learn(1, 1, 5us);
    EXPECT_EQ(guess.limit(kCautious, kPatient), 0ns);
    guess.learn(0, 1, 30us);
    EXPECT_EQ(guess.limit(kCautious, kPatient), kPatient);
}

TEST(SpinGuess, IsCautiousAgainAfterALateAnswerAndOneFromAnUnknownCore) {
    struct Wait {
        int here, there;
        std::chrono::nanoseconds took;
    };
    for (const Wait& wait :
         {Wait{0, 1, 1ms}, Wait{1, 1, 1ms}, Wait{-1, 1, 5us}, Wait{0, -1, 5us}}) {
        SpinGuess guess;
        guess.learn(0, 1, 30us);
        guess.learn(wait.here, wait.there, wait.took);
        EXPECT_EQ(guess.limit(kCautious, kPatient), kCautious)
            << wait.here << " " << wait.there << " " << wait.took.count();
    }
}

TEST(CoreOfThisThread, IsOneItMayRunOn) {
#if defined(__linux__)
    cpu_set_t mine;
    ASSERT_EQ(sched_getaffinity(0, sizeof mine, &mine), 0);
    const int core = core_of_this_thread();
    ASSERT_GE(core, 0);
    EXPECT_TRUE(CPU_ISSET(core, &mine));
#else
    EXPECT_EQ(core_of_this_thread(), -1);
#endif
}

}  // namespace
}  // namespace gilpool::core
