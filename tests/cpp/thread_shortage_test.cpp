// Jobs that were queued while the system gave no thread are begun when it has some again, though
// nobody posts any more: by the reactor, or by whoever sleeps here. Seen to fail when broken on
// purpose: without the reactor's sleep, without the sleepers' naps, if asking does not note what is
// still missing, and if the reactor gives up when it could not ask, or while somebody else asks.
#include "core/thread_shortage.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "core/latch.hpp"
#include "core/parker.hpp"
#include "core/pool.hpp"
#include "core/reactor.hpp"
#include "support/eventually.hpp"
#include "support/process.hpp"

namespace gilpool::core {
namespace {

using testing::eventually;
using testing::far_deadline;

/// So many requests for a thread are refused yet, and so many have been.
std::atomic<int> to_refuse;
std::atomic<int> refused;

int refusing_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*entry)(void*),
                    void* argument) {
    if (to_refuse > 0) {
        --to_refuse;
        ++refused;
        return EAGAIN;
    }
    return pthread_create(thread, attributes, entry, argument);
}

PoolOptions refusing(int times) {
    to_refuse = times;
    refused = 0;
    PoolOptions options;
    options.cpu_tokens = 2;
    options.blocking_cap = 100;
    options.create_thread = &refusing_create;
    return options;
}

void count_down(void* latch) {
    static_cast<Latch*>(latch)->count_down();
}

/// The first post asks once; the others ask only later, so that all these were asked by nobody who
/// posts.
constexpr int kRefusals = 4;

TEST(ThreadShortage, TheReactorAsksAgainForWhatNobodyWaitsFor) {
    for (const Lane lane : {Lane::cpu, Lane::blocking}) {
        Latch done(1);
        Pool pool(refusing(kRefusals));
        ASSERT_TRUE(pool.post(&count_down, &done, lane));
        EXPECT_EQ(pool.stats().threads, 0U);
        EXPECT_EQ(pool.stats().queued(), 1U);
        EXPECT_TRUE(ThreadShortage::exists());
        EXPECT_TRUE(eventually([&] { return done.count() == 0; }));
        EXPECT_EQ(refused, kRefusals);
        EXPECT_TRUE(eventually([] { return !ThreadShortage::exists(); }));
    }
}

TEST(ThreadShortage, TheReactorComesAgainIfItCouldNotEvenAsk) {
    // In a child, since the asker is the process's. So it is if a pool is just being made.
    EXPECT_TRUE(testing::in_child([] {
        static std::atomic<int> asked{0};
        ThreadShortage::set_asker([] { return ++asked > 2; });
        ThreadShortage::begin();
        ThreadShortage::call_reactor();
        return eventually([] { return asked == 3 && !ThreadShortage::exists(); });
    }));
}

TEST(ThreadShortage, TheReactorComesAgainIfSomebodyElseIsJustAskingInVain) {
    EXPECT_TRUE(testing::in_child([] {
        static const std::thread::id napper = std::this_thread::get_id();
        static std::atomic<bool> was_in_vain{false};
        ThreadShortage::set_asker([] {
            if (std::this_thread::get_id() == napper) {
                const std::uint64_t fired = Reactor::process().stats().fired;
                was_in_vain = eventually([fired] {
                    const ReactorStats stats = Reactor::process().stats();
                    return stats.fired > fired && stats.asleep;
                });
                return false;
            }
            return was_in_vain.load();
        });
        ThreadShortage::begin();
        ThreadShortage::call_reactor();
        while (!was_in_vain) {
            ThreadShortage::ask_again();
        }
        return eventually([] { return !ThreadShortage::exists(); });
    }));
}

TEST(ThreadShortage, AnyoneWhoSleepsAsksAgainIfThereIsNoReactor) {
    EXPECT_TRUE(testing::in_child([] {
        Reactor::process().shutdown();
        Latch done(1);
        Pool pool(refusing(kRefusals));
        const bool taken = pool.post(&count_down, &done, Lane::cpu);
        return taken && done.wait_until(far_deadline()) == WaitResult::finished &&
               refused == kRefusals && pool.shutdown(far_deadline()) == 0;
    }));
}

TEST(ThreadShortage, AWorkerAsksWhileItWaitsForAJobOfItsOwn) {
    EXPECT_TRUE(testing::in_child([] {
        Reactor::process().shutdown();
        struct Nested {
            Pool* pool;
            Latch inner{1};
            Latch outer{1};
        };
        Pool pool(refusing(0));
        Nested nested{&pool, Latch(1), Latch(1)};
        const bool taken = pool.post(
            [](void* context) {
                auto& me = *static_cast<Nested*>(context);
                // The only thread there is waits for a job that needs another one.
                to_refuse = kRefusals;
                if (me.pool->post(&count_down, &me.inner, Lane::blocking) &&
                    me.inner.wait_until(far_deadline()) == WaitResult::finished) {
                    me.outer.count_down();
                }
            },
            &nested, Lane::cpu);
        return taken && eventually([&] { return nested.outer.count() == 0; }) &&
               refused == kRefusals && pool.shutdown(far_deadline()) == 0;
    }));
}

TEST(ThreadShortage, ADeadlineIsKeptAllTheSame) {
    Pool pool(refusing(1'000'000));
    Latch done(1);
    ASSERT_TRUE(pool.post(&count_down, &done, Lane::cpu));
    // Longer than several naps, so that the deadline comes amid one.
    const TimePoint deadline = deadline_after(monotonic_now(), std::chrono::milliseconds(60));
    EXPECT_EQ(done.wait_until(deadline), WaitResult::timed_out);
    EXPECT_GE(monotonic_now(), deadline);
    to_refuse = 0;
    EXPECT_EQ(done.wait_until(far_deadline()), WaitResult::finished);
}

TEST(ThreadShortage, OneOfManyPoolsIsAskedFor) {
    Pool content(refusing(0));
    Latch before(1);
    ASSERT_TRUE(content.post(&count_down, &before, Lane::cpu));
    EXPECT_EQ(before.wait_until(far_deadline()), WaitResult::finished);
    Latch done(3);
    Pool first(refusing(3 * kRefusals)), second(refusing(3 * kRefusals));
    ASSERT_TRUE(first.post(&count_down, &done, Lane::cpu));
    ASSERT_TRUE(second.post(&count_down, &done, Lane::blocking));
    ASSERT_TRUE(second.post(&count_down, &done, Lane::blocking));
    EXPECT_TRUE(eventually([&] { return done.count() == 0; }));
    EXPECT_EQ(refused, 3 * kRefusals);
}

TEST(ThreadShortage, AForkedChildHasNoneAndAForkingParentKeepsIts) {
    Latch done(1);
    Pool pool(refusing(1'000'000));
    ASSERT_TRUE(pool.post(&count_down, &done, Lane::cpu));
    ASSERT_TRUE(ThreadShortage::exists());
    EXPECT_TRUE(testing::in_child([&] {
        to_refuse = 0;
        Latch mine(1);
        return !ThreadShortage::exists() && pool.post(&count_down, &mine, Lane::cpu) &&
               mine.wait_until(far_deadline()) == WaitResult::finished && done.count() == 1;
    }));
    EXPECT_EQ(done.count(), 1U);
    to_refuse = 0;
    EXPECT_TRUE(eventually([&] { return done.count() == 0; }));
}

}  // namespace
}  // namespace gilpool::core
