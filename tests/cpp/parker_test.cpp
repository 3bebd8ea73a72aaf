// Parker: a permit is never lost, never doubled, and a wait ends for the reason it says.
#include "core/parker.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "support/eventually.hpp"
#include "support/stress.hpp"

namespace gilpool::core {
namespace {

using testing::far_deadline;

TEST(Parker, APermitLeftBeforehandLetsTheNextParkThroughAtOnce) {
    Parker parker;
    parker.unpark();
    EXPECT_TRUE(parker.has_permit());
    EXPECT_EQ(parker.park_until(kNever), ParkResult::unparked);
    EXPECT_FALSE(parker.has_permit());
}

TEST(Parker, KeepsAtMostOnePermit) {
    Parker parker;
    parker.unpark();
    parker.unpark();
    EXPECT_EQ(parker.park_until(kNever), ParkResult::unparked);
    EXPECT_EQ(parker.park_until(TimePoint::min()), ParkResult::timed_out);
}

TEST(Parker, ADeadlineInThePastOnlyAsks) {
    Parker parker;
    EXPECT_EQ(parker.park_until(TimePoint::min()), ParkResult::timed_out);
    EXPECT_EQ(parker.park_until(std::chrono::steady_clock::now()), ParkResult::timed_out);
}

TEST(Parker, ADeadlineIsNotMetEarly) {
    Parker parker;
    const TimePoint deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(3);
    EXPECT_EQ(parker.park_until(deadline), ParkResult::timed_out);
    EXPECT_GE(std::chrono::steady_clock::now(), deadline);
}

TEST(Parker, CanBeUsedAgainAfterATimeOut) {
    Parker parker;
    EXPECT_EQ(parker.park_until(TimePoint::min()), ParkResult::timed_out);
    parker.unpark();
    EXPECT_EQ(parker.park_until(kNever), ParkResult::unparked);
}

TEST(Parker, ASignalHandlerEndsTheWaitEvenIfSystemCallsAreRestarted) {
    struct sigaction action{};
    struct sigaction before{};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
    Parker parker;
    std::atomic<bool> returned{false};
    std::atomic<ParkResult> result{ParkResult::unparked};
    std::thread sleeper([&] {
        result = parker.park_until(kNever);
        returned = true;
    });
    // A signal that comes before the sleep is handled and forgotten, so it is sent until one
    // counts.
    EXPECT_TRUE(testing::eventually([&] {
        pthread_kill(sleeper.native_handle(), SIGUSR1);
        return returned.load();
    }));
    sleeper.join();
    EXPECT_EQ(result.load(), ParkResult::interrupted);
    sigaction(SIGUSR1, &before, nullptr);
}

// Two threads hand one turn back and forth; a lost permit would hang, a doubled one would break the
// count. Deadlines that are about to pass make the time-out race with the permit.
TEST(Parker, HandsATurnBackAndForthWithoutLosingOrInventingOne) {
    Parker here, there;
    std::uint64_t turns = 0;  // written by whoever has the turn
    const TimePoint end = testing::stress_end();
    std::atomic<bool> stop{false};
    const auto take_turn = [](Parker& mine, testing::Random& random) {
        while (true) {
            const auto patience = std::chrono::nanoseconds(random.below(3'000));
            const auto deadline =
                random.one_in(2) ? far_deadline() : std::chrono::steady_clock::now() + patience;
            if (mine.park_until(deadline) == ParkResult::unparked) {
                return;
            }
        }
    };
    std::thread other([&] {
        testing::Random random(1);
        while (true) {
            take_turn(there, random);
            if (stop) {
                return;
            }
            ++turns;
            here.unpark();
        }
    });
    testing::Random random(2);
    std::uint64_t given = 0;
    while (std::chrono::steady_clock::now() < end) {
        there.unpark();
        ++given;
        take_turn(here, random);
        ASSERT_EQ(turns, given);
    }
    stop = true;
    there.unpark();
    other.join();
}

}  // namespace
}  // namespace gilpool::core
