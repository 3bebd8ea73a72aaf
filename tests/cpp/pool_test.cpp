// The process's threads: every posted function runs once, blocked ones delay nobody, idle ones go
// away, a forked child begins anew.
#include "core/pool.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "core/stop_token.hpp"

namespace gilpool::core {
namespace {

using namespace std::chrono_literals;

/// A bound for what takes no time unless something is wrong.
TimePoint soon() {
    return Clock::now() + 20s;
}

void count(void* counter) {
    ++*static_cast<std::atomic<int>*>(counter);
}

void wait_for(const std::atomic<int>& counter, int value) {
    while (counter.load() < value) {
        std::this_thread::yield();
    }
}

TEST(Pool, StartsNoThreadBeforeTheFirstPost) {
    Pool pool;
    EXPECT_EQ(pool.stats().threads, 0U);
    EXPECT_EQ(pool.shutdown(soon()), 0U);
}

TEST(Pool, ShutdownRunsWhatIsQueued) {
    Pool pool;
    std::atomic<int> ran{0};
    for (int i = 0; i < 1'000; ++i) {
        ASSERT_TRUE(pool.post(&count, &ran, Lane::blocking));
    }
    EXPECT_EQ(pool.shutdown(soon()), 0U);
    EXPECT_EQ(ran.load(), 1'000);
    EXPECT_EQ(pool.stats().threads, 0U);
}

TEST(Pool, PostAfterShutdownIsRefused) {
    Pool pool;
    EXPECT_EQ(pool.shutdown(soon()), 0U);
    std::atomic<int> ran{0};
    EXPECT_FALSE(pool.post(&count, &ran, Lane::blocking));
    EXPECT_EQ(pool.shutdown(soon()), 0U);
    EXPECT_EQ(ran.load(), 0);
}

TEST(Pool, BlockedFunctionsDelayNobody) {
    Pool pool;
    constexpr int kBlocked = 20;
    std::latch all_at_once(kBlocked);
    const auto meet = [](void* latch) { static_cast<std::latch*>(latch)->arrive_and_wait(); };
    for (int i = 0; i < kBlocked; ++i) {  // would hang on fewer than kBlocked threads
        ASSERT_TRUE(pool.post(meet, &all_at_once, Lane::blocking));
    }
    EXPECT_EQ(pool.shutdown(soon()), 0U);
}

TEST(Pool, OneWorkerServesPostsThatFollowEachOther) {
    Pool pool;
    std::atomic<int> ran{0};
    for (int i = 1; i <= 100; ++i) {
        ASSERT_TRUE(pool.post(&count, &ran, Lane::blocking));
        wait_for(ran, i);
        while (pool.stats().idle == 0) {
            std::this_thread::yield();
        }
    }
    EXPECT_EQ(pool.stats().started, 1U);
    EXPECT_EQ(pool.shutdown(soon()), 0U);
}

TEST(Pool, IdleWorkersRetire) {
    Pool pool;
    pool.set_idle_timeout(1ms);
    std::atomic<int> ran{0};
    ASSERT_TRUE(pool.post(&count, &ran, Lane::blocking));
    while (pool.stats().retired == 0) {
        std::this_thread::yield();
    }
    EXPECT_EQ(pool.stats().threads, 0U);
    EXPECT_EQ(pool.shutdown(soon()), 0U);
}

TEST(Pool, RetireIdleWaitsUntilTheyAreGone) {
    Pool pool;
    std::atomic<int> ran{0};
    ASSERT_TRUE(pool.post(&count, &ran, Lane::blocking));
    wait_for(ran, 1);
    while (pool.stats().idle == 0) {
        std::this_thread::yield();
    }
    pool.retire_idle(soon());
    EXPECT_EQ(pool.stats().threads, 0U);
    ASSERT_TRUE(pool.post(&count, &ran, Lane::blocking));
    wait_for(ran, 2);
    EXPECT_EQ(pool.shutdown(soon()), 0U);
}

TEST(Pool, ShutdownAbandonsWhatDoesNotEnd) {
    static StopToken token;
    auto& pool = *new Pool;  // the abandoned worker still uses it
    const auto stuck = [](void*) { token.sleep_until(kNever); };
    ASSERT_TRUE(pool.post(stuck, nullptr, Lane::blocking));
    EXPECT_EQ(pool.shutdown(Clock::now() + 10ms), 1U);
    token.request_stop();
    EXPECT_EQ(pool.shutdown(soon()), 0U);
    delete &pool;
}

TEST(Pool, ExitHookRunsOnEachWorker) {
    static std::atomic<int> ended{0};
    ended = 0;
    Pool pool;
    pool.set_thread_hooks({.on_exit = [] { ++ended; }});
    std::latch all_at_once(3);
    const auto meet = [](void* latch) { static_cast<std::latch*>(latch)->arrive_and_wait(); };
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(pool.post(meet, &all_at_once, Lane::blocking));
    }
    EXPECT_EQ(pool.shutdown(soon()), 0U);
    EXPECT_EQ(ended.load(), static_cast<int>(pool.stats().started));
}

TEST(Pool, WorkersBlockSignals) {
    Pool pool;
    static std::atomic<int> blocked{-1};
    const auto look = [](void*) {
        sigset_t mask;
        pthread_sigmask(SIG_BLOCK, nullptr, &mask);
        blocked = sigismember(&mask, SIGINT);
    };
    ASSERT_TRUE(pool.post(look, nullptr, Lane::blocking));
    EXPECT_EQ(pool.shutdown(soon()), 0U);
    EXPECT_EQ(blocked.load(), 1);
}

// Posts from four threads race with workers that go idle and retire at once. Seen to lose functions
// when a worker whose park timed out leaves without looking whether it has been popped meanwhile.
TEST(Pool, StressPostsRacingWithRetirement) {
    constexpr int kPosters = 4;
    constexpr int kPosts = 3'000;
    Pool pool;
    pool.set_idle_timeout(0ms);
    std::atomic<int> ran{0};
    std::vector<std::thread> posters;
    for (int i = 0; i < kPosters; ++i) {
        posters.emplace_back([&] {
            for (int post = 0; post < kPosts; ++post) {
                ASSERT_TRUE(pool.post(&count, &ran, Lane::blocking));
                if (post % 64 == 0) {
                    pool.retire_idle(soon());
                }
            }
        });
    }
    for (std::thread& poster : posters) {
        poster.join();
    }
    EXPECT_EQ(pool.shutdown(soon()), 0U);
    EXPECT_EQ(ran.load(), kPosters * kPosts);
    EXPECT_EQ(pool.stats().started, pool.stats().retired);
}

TEST(Pool, ForkedChildBeginsAnewAndTheParentLosesNothing) {
#if defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "ThreadSanitizer cannot start threads in a child forked from several threads";
#endif
    Pool& pool = Pool::process();
    static StopToken token;
    static std::atomic<int> ran{0};
    const auto wait_for_stop = [](void*) {
        token.sleep_until(kNever);
        ++ran;
    };
    for (int i = 0; i < 3; ++i) {
        ASSERT_TRUE(pool.post(wait_for_stop, nullptr, Lane::blocking));
    }
    const pid_t child = fork();
    ASSERT_NE(child, -1);
    if (child == 0) {
        std::atomic<int> ran_in_child{0};
        const bool fresh = pool.stats().threads == 0;
        const bool posted = pool.post(&count, &ran_in_child, Lane::blocking);
        wait_for(ran_in_child, 1);
        _exit(fresh && posted && pool.shutdown(soon()) == 0 ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    token.request_stop();
    wait_for(ran, 3);
    pool.retire_idle(soon());
}

}  // namespace
}  // namespace gilpool::core
