// TinyLock: mutual exclusion under contention, and locks that a fork leaves behind.
#include "core/tiny_lock.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mutex>
#include <thread>
#include <vector>

#include "core/fork.hpp"

namespace gilpool::core {
namespace {

TEST(TinyLock, IsFreeUnlessHeld) {
    TinyLock lock;
    EXPECT_TRUE(lock.free());
    EXPECT_FALSE(lock.lock());
    EXPECT_FALSE(lock.free());
    lock.unlock();
    EXPECT_TRUE(lock.free());
}

TEST(TinyLock, LetsOneThreadInAtATime) {
    TinyLock lock;
    long count = 0;
    constexpr int kThreads = 4;
    constexpr int kRounds = 50'000;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < kRounds; ++round) {
                std::lock_guard guard(lock);
                ++count;
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_EQ(count, kThreads * kRounds);
}

TEST(TinyLock, ALockHeldAcrossAForkReadsAsFreeInTheChildAndIsInheritedOnce) {
    set_fork_hooks(ForkStage::client, {});  // registers the generation's handler
    TinyLock lock;
    lock.lock();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const bool free = lock.free();
        const bool inherited = lock.lock();
        const bool held = !lock.free();
        lock.unlock();
        const bool inherited_again = lock.lock();
        _exit(free && inherited && held && !inherited_again ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_FALSE(lock.free());
    lock.unlock();
}

}  // namespace
}  // namespace gilpool::core
