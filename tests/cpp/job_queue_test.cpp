// JobQueue: first in, first out, any entry can go, and memory follows the contents.
#include "core/job_queue.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

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

TEST(JobQueue, PopsInTheOrderOfPushAcrossBlocks) {
    JobQueue queue;
    for (std::uintptr_t i = 0; i < 10'000; ++i) {
        queue.push(job(i));
    }
    EXPECT_EQ(queue.size(), 10'000U);
    std::uintptr_t expected = 0;
    Job batch[7];
    while (const std::size_t taken = queue.pop(batch, 7)) {
        for (std::size_t i = 0; i < taken; ++i) {
            EXPECT_EQ(number(batch[i]), expected++);
        }
    }
    EXPECT_EQ(expected, 10'000U);
    EXPECT_EQ(queue.size(), 0U);
}

TEST(JobQueue, AnErasedJobIsNeitherCountedNorPopped) {
    JobQueue queue;
    queue.push(job(1));
    const JobQueue::Place second = queue.push(job(2));
    queue.push(job(3));
    EXPECT_TRUE(queue.erase(second));
    EXPECT_EQ(queue.size(), 2U);
    Job batch[3];
    ASSERT_EQ(queue.pop(batch, 3), 2U);
    EXPECT_EQ(number(batch[0]), 1U);
    EXPECT_EQ(number(batch[1]), 3U);
}

TEST(JobQueue, APoppedJobCannotBeErased) {
    JobQueue queue;
    const JobQueue::Place only = queue.push(job(1));
    Job out;
    ASSERT_EQ(queue.pop(&out, 1), 1U);
    EXPECT_FALSE(queue.erase(only));
    const JobQueue::Place next = queue.push(job(2));
    EXPECT_FALSE(queue.erase(only));
    EXPECT_TRUE(queue.erase(next));
    EXPECT_EQ(queue.pop(&out, 1), 0U);
}

TEST(JobQueue, PushAndEraseForEverNeedNoMoreMemoryThanWhatIsLeft) {
    JobQueue queue;
    queue.push(job(0));  // keeps the queue from ever being empty
    const JobQueue::Place first = queue.push(job(1));
    const auto block_of = [](const Job* slot) {
        return reinterpret_cast<std::uintptr_t>(slot) / 4096;
    };
    queue.erase(first);
    std::vector<std::uintptr_t> blocks;
    for (std::uintptr_t i = 0; i < 1'000'000; ++i) {
        const JobQueue::Place place = queue.push(job(i));
        const std::uintptr_t block = block_of(place.slot);
        if (std::find(blocks.begin(), blocks.end(), block) == blocks.end()) {
            blocks.push_back(block);
        }
        ASSERT_TRUE(queue.erase(place));
    }
    // The first block, the last one, and the ones kept in reserve.
    EXPECT_LE(blocks.size(), 4U);
    EXPECT_EQ(queue.size(), 1U);
}

// Random operations against std::deque, which is slow and obvious.
TEST(JobQueue, BehavesLikeADeque) {
    struct Entry {
        std::uintptr_t number;
        JobQueue::Place place;
    };
    JobQueue queue;
    std::deque<Entry> model;
    std::vector<JobQueue::Place> popped;
    testing::Random random(testing::stress_seed());
    std::uintptr_t next = 1;
    for (int step = 0; step < 300'000; ++step) {
        // Long phases of growth and of shrinking, so that blocks come and go.
        const bool growing = step / 5'000 % 2 == 0;
        const std::uint64_t choice = random.below(10);
        if (choice < (growing ? 6U : 3U)) {
            model.push_back({next, queue.push(job(next))});
            ++next;
        } else if (choice < 8) {
            Job batch[16];
            const std::size_t taken = queue.pop(batch, 1 + random.below(growing ? 2 : 16));
            for (std::size_t i = 0; i < taken; ++i) {
                ASSERT_EQ(number(batch[i]), model.front().number);
                popped.assign(1, model.front().place);
                model.pop_front();
            }
        } else if (!model.empty()) {
            const auto index = static_cast<std::ptrdiff_t>(random.below(model.size()));
            const auto victim = model.begin() + index;
            ASSERT_TRUE(queue.erase(victim->place));
            model.erase(victim);
        }
        for (const JobQueue::Place& place : popped) {
            ASSERT_FALSE(queue.erase(place));
        }
        ASSERT_EQ(queue.size(), model.size());
        if (random.one_in(20'000)) {
            queue.clear();
            model.clear();
            popped.clear();
        }
    }
}

}  // namespace
}  // namespace gilpool::core
