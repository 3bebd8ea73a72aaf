// The timer heap against a sorted reference: order, removal by back-index, memory.
#include "core/timer_heap.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <vector>

namespace gilpool::core {
namespace {

TimePoint at(std::int64_t nanoseconds) {
    return TimePoint(Duration(nanoseconds));
}

/// A node that remembers its deadline, which the heap does not tell.
struct Entry : TimerNode {
    std::int64_t deadline = 0;
};

std::int64_t pop_deadline(TimerHeap& heap) {
    return static_cast<Entry*>(heap.pop())->deadline;
}

void push(TimerHeap& heap, Entry& entry, std::int64_t deadline) {
    entry.deadline = deadline;
    ASSERT_TRUE(heap.reserve(heap.size() + 1));
    heap.push(entry, at(deadline));
}

TEST(TimerHeap, IsEmptyAtFirst) {
    TimerHeap heap;
    EXPECT_TRUE(heap.empty());
    EXPECT_EQ(heap.earliest(), kNever);
    EXPECT_EQ(heap.pop(), nullptr);
    EXPECT_EQ(heap.capacity(), 0u);
}

TEST(TimerHeap, PopsInTheOrderOfDeadlinesForEverySizeAndArrivalOrder) {
    std::mt19937 random(1);
    for (int size = 1; size <= 200; ++size) {
        TimerHeap heap;
        std::deque<Entry> entries(size);
        std::vector<std::int64_t> deadlines;
        for (Entry& entry : entries) {
            // A narrow range, so that equal deadlines occur as well.
            deadlines.push_back(static_cast<std::int64_t>(random() % 100) - 50);
            push(heap, entry, deadlines.back());
        }
        std::sort(deadlines.begin(), deadlines.end());
        for (const std::int64_t deadline : deadlines) {
            ASSERT_EQ(heap.earliest(), at(deadline));
            ASSERT_EQ(pop_deadline(heap), deadline);
        }
        EXPECT_TRUE(heap.empty());
    }
}

TEST(TimerHeap, RemoveSaysWhetherTheNodeStoodInTheHeap) {
    TimerHeap heap;
    Entry entry;
    EXPECT_FALSE(heap.remove(entry));
    push(heap, entry, 7);
    EXPECT_TRUE(heap.remove(entry));
    EXPECT_FALSE(heap.remove(entry));
    push(heap, entry, 8);
    EXPECT_EQ(heap.pop(), &entry);
    EXPECT_FALSE(heap.remove(entry));
}

TEST(TimerHeap, KeepsNodesWithoutADeadlineLast) {
    TimerHeap heap;
    Entry endless;
    Entry soon;
    ASSERT_TRUE(heap.reserve(2));
    heap.push(endless, kNever);
    heap.push(soon, at(3));
    EXPECT_EQ(heap.pop(), &soon);
    EXPECT_EQ(heap.earliest(), kNever);
    EXPECT_EQ(heap.pop(), &endless);
}

TEST(TimerHeap, AgreesWithASortedMultimapThroughRandomPushesRemovalsAndPops) {
    std::mt19937 random(2);
    TimerHeap heap;
    std::deque<Entry> entries(3000);
    std::vector<Entry*> outside;
    for (Entry& entry : entries) {
        outside.push_back(&entry);
    }
    std::multimap<std::int64_t, Entry*> expected;
    for (int step = 0; step < 300'000; ++step) {
        // Long runs in which the heap grows, then runs in which it shrinks to nothing.
        const bool growing = (step / 20'000) % 2 == 0;
        const unsigned choice = random() % 10;
        if (!outside.empty() && choice < (growing ? 6u : 2u)) {
            std::swap(outside[random() % outside.size()], outside.back());
            Entry& entry = *outside.back();
            outside.pop_back();
            push(heap, entry, random() % 5000);
            expected.emplace(entry.deadline, &entry);
        } else if (!expected.empty() && choice % 2 == 0) {
            auto victim = expected.lower_bound(random() % 5000);
            if (victim == expected.end()) {
                victim = expected.begin();
            }
            ASSERT_TRUE(heap.remove(*victim->second));
            outside.push_back(victim->second);
            expected.erase(victim);
        } else if (!expected.empty()) {
            Entry* const popped = static_cast<Entry*>(heap.pop());
            ASSERT_EQ(popped->deadline, expected.begin()->first);
            auto [first, last] = expected.equal_range(popped->deadline);
            while (first != last && first->second != popped) {
                ++first;
            }
            ASSERT_NE(first, last);
            expected.erase(first);
            outside.push_back(popped);
        }
        heap.give_back_memory();
        ASSERT_EQ(heap.size(), expected.size());
        ASSERT_EQ(heap.earliest(), expected.empty() ? kNever : at(expected.begin()->first));
    }
}

TEST(TimerHeap, GivesMemoryBackAfterABurstAndKeepsWhatIsLeftInOrder) {
    TimerHeap heap;
    std::deque<Entry> entries(100'000);
    for (std::size_t i = 0; i < entries.size(); ++i) {
        push(heap, entries[i], static_cast<std::int64_t>((i * 7919) % entries.size()));
    }
    const std::size_t full = heap.capacity();
    EXPECT_GE(full, entries.size());
    heap.give_back_memory();
    EXPECT_EQ(heap.capacity(), full);
    for (std::int64_t deadline = 0; deadline < 99'000; ++deadline) {
        ASSERT_EQ(pop_deadline(heap), deadline);
    }
    heap.give_back_memory();
    EXPECT_LE(heap.capacity(), 4096u);
    for (std::int64_t deadline = 99'000; deadline < 100'000; ++deadline) {
        ASSERT_EQ(pop_deadline(heap), deadline);
    }
}

TEST(TimerHeap, RefusesWhatCannotFitAndStaysAsItWas) {
    TimerHeap heap;
    Entry entry;
    push(heap, entry, 5);
    EXPECT_FALSE(heap.reserve(std::size_t{1} << 40));
    EXPECT_EQ(heap.earliest(), at(5));
    EXPECT_EQ(heap.pop(), &entry);
}

TEST(DeadlineAfter, SaturatesAtNever) {
    EXPECT_EQ(deadline_after(at(10), Duration(5)), at(15));
    EXPECT_EQ(deadline_after(at(10), Duration::max()), kNever);
    EXPECT_EQ(deadline_after(at(10), Duration::max() - Duration(11)),
              at(Duration::max().count() - 1));
}

}  // namespace
}  // namespace gilpool::core
