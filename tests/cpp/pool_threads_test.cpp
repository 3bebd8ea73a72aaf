// The end of a pool's threads: they are joined, nearly nobody waits for that, and their number
// stays bounded however fast they come and go. Seen to fail when broken on purpose: if a thread
// that has left joins the one that left before it, the stress finds hundreds of threads in a pool
// of eight; without the last one's look after the others, waves leave threads that nobody has
// joined.
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "core/latch.hpp"
#include "core/pool.hpp"
#include "support/all_idle.hpp"
#include "support/eventually.hpp"
#include "support/gate.hpp"
#include "support/process.hpp"
#include "support/stress.hpp"

namespace gilpool::core {
namespace {

using testing::all_idle;
using testing::eventually;
using testing::far_deadline;
using testing::Gate;

void count_down(void* latch) {
    static_cast<Latch*>(latch)->count_down();
}

TEST(PoolThreads, AWaveOfEndingThreadsIsJoinedByItsLast) {
    constexpr std::size_t kWave = 64;
    PoolOptions options;
    options.cpu_tokens = 1;
    options.blocking_cap = kWave;
    options.idle_timeout = std::chrono::nanoseconds(1);
    Pool pool(options);
    for (int round = 0; round < 20; ++round) {
        Gate gate;
        for (std::size_t i = 0; i < kWave; ++i) {
            gate.occupy(pool, Lane::blocking);
        }
        gate.open();
        ASSERT_TRUE(eventually([&] { return pool.stats().threads == 0; }));
        // The last one cannot join itself.
        ASSERT_TRUE(eventually([&] { return pool.stats().unjoined <= 1; }))
            << pool.stats().unjoined << " of " << kWave << " threads were left unjoined";
    }
    EXPECT_EQ(pool.shutdown(far_deadline()), 0U);
    EXPECT_EQ(pool.stats().unjoined, 0U);
}

TEST(PoolThreads, OfThreadsThatQuiesceEndedTheKernelKnowsNothing) {
    PoolOptions options;
    options.cpu_tokens = 2;
    options.blocking_cap = 8;
    Pool pool(options);
    const std::size_t before = testing::threads_of_this_process();
    for (int round = 0; round < 50; ++round) {
        Gate gate;
        for (int i = 0; i < 8; ++i) {
            gate.occupy(pool, Lane::blocking);
        }
        gate.open();
        ASSERT_TRUE(eventually([&] { return all_idle(pool); }));
        ASSERT_TRUE(pool.quiesce(far_deadline()));
        ASSERT_EQ(testing::threads_of_this_process(), before);
        ASSERT_EQ(pool.stats().unjoined, 0U);
    }
}

// A shutdown gives up while another thread is being refused by the system: that one is taken off
// the books once, not twice.
TEST(PoolThreads, ARefusalThatComesAfterTheShutdownGaveUpIsHarmless) {
    static std::atomic<bool> asked, answer;
    asked = answer = false;
    PoolOptions options;
    options.cpu_tokens = 2;
    options.blocking_cap = 2;
    options.create_thread = [](pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) {
        asked = true;
        while (!answer) {
            std::this_thread::yield();
        }
        return EAGAIN;
    };
    Pool pool(options);
    Latch never(1);
    std::thread poster([&] { EXPECT_TRUE(pool.post(&count_down, &never, Lane::cpu)); });
    ASSERT_TRUE(eventually([] { return asked.load(); }));
    EXPECT_EQ(pool.shutdown(TimePoint::min()), 1U);
    answer = true;
    poster.join();
    const PoolStats after = pool.stats();
    EXPECT_EQ(after.threads, 0U);
    EXPECT_EQ(after.refused, 1U);
    EXPECT_EQ(after.dropped, 1U);
    EXPECT_EQ(pool.shutdown(kNever), 1U);
}

// Two posters make threads as fast as they can, while everybody who is out of work ends: by the
// time limit, and by the hand of a third that quiesces. Nothing is lost, and the kernel never sees
// many more threads than the pool may have.
TEST(PoolThreadsStress, HoweverFastThreadsComeAndGoTheyDoNotPileUp) {
    const TimePoint end = testing::stress_end();
    PoolOptions options;
    options.cpu_tokens = 2;
    options.blocking_cap = 6;
    options.idle_timeout = std::chrono::nanoseconds(1);
    options.search_spin = std::chrono::nanoseconds(0);
    Pool pool(options);
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> posted{0}, ran{0};
    std::vector<std::thread> others;
    for (int i = 0; i < 2; ++i) {
        others.emplace_back([&] {
            while (!stop) {
                ASSERT_TRUE(
                    pool.post([](void* runs) { ++*static_cast<std::atomic<std::uint64_t>*>(runs); },
                              &ran, Lane::blocking));
                // Not faster than the threads are made, or there would be few of them.
                if (++posted % 8 == 0) {
                    Latch done(1);
                    ASSERT_TRUE(pool.post(&count_down, &done, Lane::cpu));
                    ASSERT_EQ(done.wait_until(far_deadline()), WaitResult::finished);
                }
            }
        });
    }
    others.emplace_back([&] {
        while (!stop) {
            ASSERT_TRUE(pool.quiesce(far_deadline()));
        }
    });
    std::size_t most = 0, most_unjoined = 0;
    while (std::chrono::steady_clock::now() < end) {
        most = std::max(most, testing::threads_of_this_process());
        most_unjoined = std::max(most_unjoined, pool.stats().unjoined);
    }
    stop = true;
    for (std::thread& other : others) {
        other.join();
    }
    EXPECT_EQ(pool.shutdown(far_deadline()), 0U);
    const PoolStats after = pool.stats();
    EXPECT_EQ(ran, posted);
    EXPECT_EQ(after.grown, after.retired);
    EXPECT_EQ(after.unjoined, 0U);
    // 8 that work, 4 of the test (5 with a sanitizer's own), and those with some instructions to go
    // when they lost the CPU.
    EXPECT_LE(most, 64U);
    EXPECT_LE(most_unjoined, 64U);
    RecordProperty("threads_made", static_cast<int>(after.grown));
    RecordProperty("most_threads", static_cast<int>(most));
    RecordProperty("most_unjoined", static_cast<int>(most_unjoined));
}

}  // namespace
}  // namespace gilpool::core
