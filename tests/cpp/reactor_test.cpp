// The reactor's sleeps: when they end, in which batches, who wins against cancel, when the thread
// is there. On a clock that the test moves, but for what the kernel's time-outs do.
#include "core/reactor.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <deque>
#include <semaphore>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/notifying_wait.hpp"
#include "core/poller.hpp"
#include "support/eventually.hpp"
#include "support/fake_clock.hpp"
#include "support/reactor_sink.hpp"

namespace gilpool::core {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::FakeClock;
using testing::ReactorSink;

class ReactorTest : public ::testing::Test {
  protected:
    ReactorTest() {
        clock.on_move([this] { reactor.look_again(); });
    }

    ~ReactorTest() override {
        reactor.shutdown();
        const ReactorStats stats = reactor.stats();
        EXPECT_EQ(stats.armed, 0u);
        EXPECT_FALSE(stats.has_thread);
    }

    /// Arms a sleep that ends `delay` from now.
    void arm(TimedWait& wait, Duration delay) {
        ASSERT_EQ(reactor.arm(wait, deadline_after(clock.now(), delay)), ArmResult::armed);
    }

    /// A sleep that lives as long as the fixture, as it may be armed when a test ends.
    TimedWait& make() { return make(sink); }
    TimedWait& make(const ReactorSink& told) { return waits.emplace_back(told.client()); }

    FakeClock clock;
    std::deque<TimedWait> waits;
    Reactor reactor{clock};
    ReactorSink sink{reactor};
    ReactorSink other{reactor};
};

TEST_F(ReactorTest, HasNoThreadUntilSomethingIsArmed) {
    TimedWait& wait = make();
    EXPECT_FALSE(reactor.cancel(wait));
    reactor.look_again();
    EXPECT_FALSE(reactor.stats().has_thread);
    arm(wait, 1s);
    EXPECT_TRUE(reactor.stats().has_thread);
    EXPECT_EQ(reactor.stats().armed, 1u);
}

TEST_F(ReactorTest, EndsASleepAtItsDeadlineAndNotBefore) {
    TimedWait& wait = make();
    TimedWait& just_before = make();
    arm(wait, 1s);
    arm(just_before, 1s - 1ns);
    clock.advance(1s - 1ns);
    // The other's arrival shows that the reactor has looked at the heap at this time.
    ASSERT_TRUE(sink.wait_for(just_before));
    EXPECT_EQ(sink.times(wait), 0u);
    clock.advance(1ns);
    ASSERT_TRUE(sink.wait_for(wait));
    EXPECT_EQ(wait.result(), WaitEnd::due);
    EXPECT_EQ(sink.arrivals().size(), 2u);
}

TEST_F(ReactorTest, EndsAtOnceASleepWhoseDeadlineHasPassed) {
    TimedWait& now = make();
    TimedWait& past = make();
    arm(now, 0s);
    arm(past, -1s);
    EXPECT_TRUE(sink.wait_for(2));
}

TEST_F(ReactorTest, HandsOverAllThatIsDueInOneRoundAsOneBatchInOrderOfDeadlines) {
    std::array<TimedWait*, 1000> by_deadline;
    for (int i = 0; i < 1000; ++i) {
        const int place = (i * 37) % 1000;  // 37 and 1000 have no common factor: every place once
        by_deadline[place] = &make();
        arm(waits.back(), 1ms * (place + 1));
    }
    clock.advance(1s);
    ASSERT_TRUE(sink.wait_for(1000));
    const auto arrivals = sink.arrivals();
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
        ASSERT_EQ(arrivals[i].wait, by_deadline[i]);
        ASSERT_EQ(arrivals[i].batch, 0u);
    }
    EXPECT_EQ(reactor.stats().batches, 1u);
}

TEST_F(ReactorTest, HandsOverAFloodInAFewLargeBatches) {
    constexpr std::size_t kFlood = 20'000;
    std::vector<Reactor::Arming> armings;
    for (std::size_t i = 0; i < kFlood; ++i) {
        armings.push_back({&make(), clock.now() + 1s});
    }
    const auto [armed, result] = reactor.arm_many(armings);
    EXPECT_EQ(armed, kFlood);
    EXPECT_EQ(result, ArmResult::armed);
    clock.advance(1s);
    ASSERT_TRUE(sink.wait_for(kFlood));
    EXPECT_EQ(sink.arrivals().size(), kFlood);
    EXPECT_LE(sink.batches(), 5u);
    EXPECT_EQ(reactor.stats().fired, kFlood);
}

TEST_F(ReactorTest, GivesEachClientItsOwnWaitsOnly) {
    TimedWait& mine = make();
    TimedWait& theirs = make(other);
    arm(mine, 1s);
    arm(theirs, 1s);
    clock.advance(1s);
    ASSERT_TRUE(sink.wait_for(1));
    ASSERT_TRUE(other.wait_for(1));
    EXPECT_EQ(sink.arrivals().front().wait, &mine);
    EXPECT_EQ(other.arrivals().front().wait, &theirs);
    EXPECT_EQ(reactor.stats().batches, 1u);
}

TEST_F(ReactorTest, RefusesMoreClientsThanItServes) {
    // The notifier, `sink` and `other` are there.
    for (std::size_t i = 3; i < kMaxReactorClients; ++i) {
        reactor.add_client([](TimedWait*, void*) noexcept {}, nullptr);
    }
    EXPECT_THROW(reactor.add_client([](TimedWait*, void*) noexcept {}, nullptr), std::length_error);
}

TEST_F(ReactorTest, DoesNotHandOverWhatACancelHasWon) {
    TimedWait& cancelled = make();
    TimedWait& other = make();
    arm(cancelled, 1s);
    arm(other, 1s);
    EXPECT_TRUE(reactor.try_cancel(cancelled));
    EXPECT_FALSE(reactor.try_cancel(cancelled));
    clock.advance(1s);
    ASSERT_TRUE(sink.wait_for(other));
    EXPECT_EQ(sink.times(cancelled), 0u);
    EXPECT_FALSE(reactor.try_cancel(other));
    const ReactorStats stats = reactor.stats();
    EXPECT_EQ(stats.cancelled, 1u);
    EXPECT_EQ(stats.fired, 1u);
}

TEST_F(ReactorTest, CancelThatLostReturnsAfterTheBatchFunction) {
    std::binary_semaphore in_batch{0};
    std::binary_semaphore leave{0};
    std::atomic<bool> left{false};
    sink.before_batch([&] {
        in_batch.release();
        leave.acquire();
        left = true;
    });
    TimedWait& wait = make();
    arm(wait, 0s);
    in_batch.acquire();
    EXPECT_FALSE(reactor.try_cancel(wait));
    EXPECT_FALSE(left);
    std::thread canceller([&] {
        leave.release();
        EXPECT_FALSE(reactor.cancel(wait));
        EXPECT_TRUE(left);
    });
    canceller.join();
    EXPECT_EQ(sink.times(wait), 1u);
}

TEST_F(ReactorTest, BatchFunctionMayArmAndCancel) {
    TimedWait& again = make();
    TimedWait& victim = make();
    TimedWait& trigger = make();
    bool first = true;
    bool won = false;
    sink.before_batch([&] {
        if (first) {
            first = false;
            arm(again, 1s);
            won = reactor.cancel(victim);
            EXPECT_FALSE(reactor.cancel(trigger));  // of this very batch: must not wait for itself
        }
    });
    arm(victim, 1h);
    arm(trigger, 1s);
    clock.advance(1s);
    ASSERT_TRUE(sink.wait_for(trigger));
    EXPECT_TRUE(won);
    clock.advance(1s);
    EXPECT_TRUE(sink.wait_for(again));
    EXPECT_EQ(sink.times(victim), 0u);
}

TEST_F(ReactorTest, ASleepCanBeArmedAgainOnceItHasEnded) {
    TimedWait& wait = make();
    for (std::size_t round = 1; round <= 3; ++round) {
        arm(wait, 1s);
        EXPECT_EQ(reactor.arm(wait, clock.now()), ArmResult::busy);
        clock.advance(1s);
        ASSERT_TRUE(sink.wait_for(round));
    }
    EXPECT_EQ(sink.times(wait), 3u);
}

TEST_F(ReactorTest, ASleepWithoutADeadlineEndsByCancelOnly) {
    TimedWait& endless = make();
    TimedWait& late = make();
    arm(endless, Duration::max());
    arm(late, 24h * 365);
    clock.advance(24h * 365);
    ASSERT_TRUE(sink.wait_for(late));
    EXPECT_TRUE(reactor.cancel(endless));
}

TEST_F(ReactorTest, ArmManyStopsAtWhatItCannotArm) {
    TimedWait& first = make();
    TimedWait& busy = make();
    TimedWait& last = make();
    arm(busy, 1h);
    const std::array<Reactor::Arming, 3> armings{
        {{&first, clock.now() + 1s}, {&busy, clock.now() + 1s}, {&last, clock.now() + 1s}}};
    const auto [armed, result] = reactor.arm_many(armings);
    EXPECT_EQ(armed, 1u);
    EXPECT_EQ(result, ArmResult::busy);
    EXPECT_EQ(reactor.stats().armed, 2u);
    clock.advance(1s);
    ASSERT_TRUE(sink.wait_for(first));
    EXPECT_EQ(sink.times(last), 0u);
}

TEST_F(ReactorTest, WakesTheThreadOnlyForAnEarlierDeadline) {
    arm(make(), 1h);
    ASSERT_TRUE(eventually([&] { return reactor.stats().asleep; }));
    const std::uint64_t before = reactor.stats().wakes_sent;
    for (int i = 0; i < 10'000; ++i) {
        arm(make(), 1h + i * 1us);
    }
    EXPECT_EQ(reactor.stats().wakes_sent, before);
    EXPECT_TRUE(reactor.stats().asleep);
    // However far the thread is in going to sleep, an earlier one must be seen.
    for (int i = 1; i <= 100; ++i) {
        TimedWait& wait = make();
        arm(wait, 0s);
        ASSERT_TRUE(sink.wait_for(wait));
    }
}

TEST_F(ReactorTest, ItsThreadRetiresAfterTenIdleSecondsAndComesBack) {
    TimedWait& wait = make();
    arm(wait, 0s);
    ASSERT_TRUE(sink.wait_for(1));
    const std::uint64_t before = reactor.stats().wake_ups;
    ASSERT_TRUE(eventually([&] {
        clock.advance(Duration::zero());
        return reactor.stats().wake_ups > before;
    }));
    clock.advance(Reactor::kIdleTime - 1ms);
    const std::uint64_t looked = reactor.stats().wake_ups;
    ASSERT_TRUE(eventually([&] {
        reactor.look_again();
        return reactor.stats().wake_ups > looked + 1;
    }));
    EXPECT_TRUE(reactor.stats().has_thread);
    clock.advance(2ms);
    ASSERT_TRUE(eventually([&] { return !reactor.stats().has_thread; }));
    arm(wait, 0s);
    ASSERT_TRUE(sink.wait_for(2));
    EXPECT_EQ(reactor.stats().threads_started, 2u);
}

TEST_F(ReactorTest, ItsThreadRetiresAfterACancelOfAFarDeadline) {
    TimedWait& wait = make();
    arm(wait, Duration::max());
    ASSERT_TRUE(eventually([&] { return reactor.stats().asleep; }));
    const std::uint64_t before = reactor.stats().wakes_sent;
    EXPECT_TRUE(reactor.cancel(wait));
    EXPECT_EQ(reactor.stats().wakes_sent, before + 1);  // it meant to sleep for ever
    ASSERT_TRUE(eventually([&] { return reactor.stats().asleep; }));
    // Time-outs that are armed and cancelled before they matter cost no wake-up at all.
    for (int i = 0; i < 1000; ++i) {
        arm(wait, 1h);
        EXPECT_TRUE(reactor.cancel(wait));
    }
    EXPECT_EQ(reactor.stats().wakes_sent, before + 1);
    clock.advance(Reactor::kIdleTime);
    EXPECT_TRUE(eventually([&] { return !reactor.stats().has_thread; }));
}

TEST_F(ReactorTest, ItsThreadStaysWhileAnythingIsArmed) {
    TimedWait& far = make();
    TimedWait& probe = make();
    arm(far, 1h);
    arm(probe, 10 * Reactor::kIdleTime);
    clock.advance(10 * Reactor::kIdleTime);
    ASSERT_TRUE(sink.wait_for(probe));
    EXPECT_EQ(reactor.stats().threads_started, 1u);
    EXPECT_TRUE(reactor.stats().has_thread);
}

TEST_F(ReactorTest, ItsThreadBlocksEverySignalButFaults) {
    sigset_t blocked;
    sigemptyset(&blocked);
    sink.before_batch([&] { ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked); });
    sigset_t mine;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mine);
    TimedWait& wait = make();
    arm(wait, 0s);
    ASSERT_TRUE(sink.wait_for(1));
    for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1, SIGPROF, SIGHUP}) {
        EXPECT_EQ(sigismember(&blocked, signal), 1) << signal;
    }
    EXPECT_EQ(sigismember(&blocked, SIGSEGV), 0);
    sigset_t after;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &after);
    EXPECT_EQ(sigismember(&after, SIGINT), sigismember(&mine, SIGINT));
}

TEST_F(ReactorTest, ShutdownHandsOverEverythingAndRefusesWhatComes) {
    for (int i = 0; i < 10'000; ++i) {
        arm(make(), 1h + i * 1ms);
    }
    reactor.shutdown();
    const auto arrivals = sink.arrivals();
    ASSERT_EQ(arrivals.size(), 10'000u);
    for (const auto& arrival : arrivals) {
        ASSERT_EQ(arrival.result, WaitEnd::shut_down);
    }
    EXPECT_EQ(reactor.arm(waits.front(), clock.now()), ArmResult::shut_down);
    const Reactor::Arming arming{&waits.front(), clock.now()};
    EXPECT_EQ(reactor.arm_many({&arming, 1}).result, ArmResult::shut_down);
    EXPECT_FALSE(reactor.cancel(waits.front()));
    reactor.shutdown();
    EXPECT_EQ(sink.arrivals().size(), 10'000u);
    EXPECT_EQ(reactor.stats().dropped, 10'000u);
}

TEST_F(ReactorTest, CountsHowLateItWas) {
    TimedWait& wait = make();
    arm(wait, 1s);
    clock.advance(1s + 3ms);
    ASSERT_TRUE(sink.wait_for(1));
    const ReactorStats stats = reactor.stats();
    EXPECT_EQ(stats.lateness_max, 3ms);
    EXPECT_EQ(stats.lateness[12], 1u);  // 2,048 us <= 3 ms < 4,096 us
}

TEST_F(ReactorTest, TellsTheWaitersOfANotifyingSleep) {
    NotifyingSleep sleep;
    ThreadWaiter waiter;
    sleep.waiters().add(waiter);
    arm(sleep, 1s);
    EXPECT_EQ(waiter.wait_until(TimePoint::min()), ParkResult::timed_out);
    clock.advance(1s);
    EXPECT_EQ(waiter.wait_until(kNever), ParkResult::unparked);
    EXPECT_FALSE(reactor.cancel(sleep));
    EXPECT_EQ(sleep.result(), WaitEnd::due);
}

// ---- time-outs of the kernel ----

class PollerTiming : public ::testing::TestWithParam<Poller::Timing> {};

TEST_P(PollerTiming, WaitsNoLessThanItWasAskedTo) {
    Poller poller(GetParam());
    ASSERT_EQ(poller.open(), 0);
    EXPECT_GE(poller.timing(), GetParam());
    std::array<ReadyEvent, 4> events;
    for (const Duration timeout : {Duration(0), Duration(1), Duration(100us), Duration(1500us)}) {
        const TimePoint start = std::chrono::steady_clock::now();
        EXPECT_EQ(poller.wait(timeout, events), 0u);
        EXPECT_GE(std::chrono::steady_clock::now() - start, timeout);
    }
}

TEST_P(PollerTiming, RemembersAWakeThatComesBeforeTheWait) {
    Poller poller(GetParam());
    ASSERT_EQ(poller.open(), 0);
    std::array<ReadyEvent, 4> events;
    for (int i = 0; i < 3; ++i) {
        poller.wake();
        EXPECT_EQ(poller.wait(Poller::kForever, events), 0u);
    }
}

TEST_P(PollerTiming, NeverEndsASleepEarly) {
    const SteadyClock& clock = SteadyClock::instance();
    Reactor reactor(clock, GetParam());
    ReactorSink sink(reactor);
    std::atomic<TimePoint> first_batch{kNever};
    sink.before_batch([&] {
        TimePoint none = kNever;
        first_batch.compare_exchange_strong(none, clock.now());
    });
    TimedWait wait(sink.client());
    const TimePoint deadline = clock.now() + 2ms;
    ASSERT_EQ(reactor.arm(wait, deadline), ArmResult::armed);
    ASSERT_TRUE(sink.wait_for(1));
    EXPECT_GE(first_batch.load(), deadline);
    reactor.shutdown();
}

INSTANTIATE_TEST_SUITE_P(All, PollerTiming,
                         ::testing::Values(Poller::Timing::nanoseconds,
                                           Poller::Timing::timer_descriptor,
                                           Poller::Timing::milliseconds));

}  // namespace
}  // namespace gilpool::core
