// CpuToken: a batch that is popped in order, stolen by halves, and loses entries on request.
#include "core/cpu_token.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "core/job_queue.hpp"
#include "support/stress.hpp"

namespace gilpool::core {
namespace {

void nothing(void*) {}
Job job(std::uintptr_t number) {
    return {&nothing, reinterpret_cast<void*>(number)};
}
std::uintptr_t number(const Job& one) {
    return reinterpret_cast<std::uintptr_t>(one.context);
}

std::vector<std::uintptr_t> drain(CpuToken& token) {
    std::vector<std::uintptr_t> numbers;
    for (Job one; token.pop(one);) {
        numbers.push_back(number(one));
    }
    return numbers;
}

TEST(CpuToken, TakesABatchAtMostAndGivesItOutInOrder) {
    JobQueue queue;
    for (std::uintptr_t i = 1; i <= CpuToken::kMostJobs + 1; ++i) {
        queue.push(job(i));
    }
    CpuToken token;
    EXPECT_TRUE(token.refill(queue));
    EXPECT_EQ(token.size(), CpuToken::kMostJobs);
    EXPECT_EQ(queue.size(), 1U);
    const std::vector<std::uintptr_t> numbers = drain(token);
    ASSERT_EQ(numbers.size(), CpuToken::kMostJobs);
    EXPECT_EQ(numbers.front(), 1U);
    EXPECT_EQ(numbers.back(), CpuToken::kMostJobs);
    EXPECT_TRUE(token.refill(queue));
    EXPECT_EQ(drain(token).size(), 1U);
    EXPECT_FALSE(token.refill(queue));
}

TEST(CpuToken, AThiefTakesTheNewerHalfAndTheLastOne) {
    JobQueue queue;
    for (std::uintptr_t i = 1; i <= 5; ++i) {
        queue.push(job(i));
    }
    CpuToken victim, thief;
    ASSERT_TRUE(victim.refill(queue));
    EXPECT_TRUE(thief.steal_from(victim));
    EXPECT_EQ(drain(thief), (std::vector<std::uintptr_t>{3, 4, 5}));
    EXPECT_TRUE(thief.steal_from(victim));
    EXPECT_EQ(drain(thief), (std::vector<std::uintptr_t>{2}));
    EXPECT_TRUE(thief.steal_from(victim));
    EXPECT_EQ(drain(thief), (std::vector<std::uintptr_t>{1}));
    EXPECT_FALSE(thief.steal_from(victim));
}

TEST(CpuToken, ErasesATaskButNotAPostedJobWithTheSameContext) {
    JobQueue queue;
    queue.push(job(7));
    CpuToken token;
    ASSERT_TRUE(token.refill(queue));
    EXPECT_FALSE(token.erase(reinterpret_cast<void*>(7)));
    EXPECT_EQ(token.size(), 1U);
    token.forget();
    EXPECT_EQ(token.size(), 0U);
}

// The holder pops while a thief steals: together they see every job once.
TEST(CpuToken, HolderAndThiefShareEveryJobOnce) {
    const TimePoint end = testing::stress_end();
    std::uint64_t jobs = 0;
    while (std::chrono::steady_clock::now() < end) {
        JobQueue queue;
        constexpr std::uintptr_t kJobs = 4000;
        for (std::uintptr_t i = 0; i < kJobs; ++i) {
            queue.push(job(i));
        }
        TinyLock pool_lock;  // as in the pool: refill and steal are made under it
        CpuToken mine, stolen;
        std::vector<std::atomic<int>> seen(kJobs);
        std::atomic<bool> done{false};
        std::thread thief([&] {
            while (!done) {
                {
                    std::lock_guard guard(pool_lock);
                    stolen.steal_from(mine);
                }
                for (const std::uintptr_t one : drain(stolen)) {
                    ++seen[one];
                }
            }
        });
        while (true) {
            for (const std::uintptr_t one : drain(mine)) {
                ++seen[one];
            }
            std::lock_guard guard(pool_lock);
            if (!mine.refill(queue)) {
                break;
            }
        }
        done = true;
        thief.join();
        for (std::uintptr_t i = 0; i < kJobs; ++i) {
            ASSERT_EQ(seen[i], 1) << "job " << i;
        }
        jobs += kJobs;
    }
    RecordProperty("jobs", static_cast<int>(jobs));
}

}  // namespace
}  // namespace gilpool::core
