// TraceRing: nothing is lost but what is counted, nothing is torn, whoever is quicker.
#include "core/trace_ring.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "core/clock.hpp"
#include "support/stress.hpp"

namespace gilpool::core {
namespace {

TraceRecord record_with(std::int64_t value) {
    TraceRecord record{};
    // All fields the same, so that half of one record and half of another show.
    record.begin = record.end = record.extra = record.cpu = value;
    record.number = record.name = static_cast<std::uint32_t>(value);
    return record;
}

bool is_whole(const TraceRecord& record) {
    return record.begin == record.end && record.begin == record.extra &&
           record.begin == record.cpu &&
           record.number == static_cast<std::uint32_t>(record.begin) &&
           record.name == record.number;
}

std::vector<std::int64_t> taken_from(TraceRing& ring) {
    std::vector<std::int64_t> values;
    ring.take([&values](const TraceRecord& record) { values.push_back(record.begin); });
    return values;
}

TEST(TraceRing, GivesRecordsBackInTheirOrder) {
    TraceRing ring(4);
    for (int i = 0; i < 3; ++i) {
        ring.write(record_with(i));
    }
    EXPECT_EQ(taken_from(ring), (std::vector<std::int64_t>{0, 1, 2}));
    EXPECT_TRUE(taken_from(ring).empty());
}

TEST(TraceRing, DropsWhatDoesNotFitAndCountsItExactly) {
    TraceRing ring(4);
    for (int i = 0; i < 11; ++i) {
        ring.write(record_with(i));
    }
    EXPECT_EQ(ring.dropped(), 7U);
    EXPECT_EQ(taken_from(ring), (std::vector<std::int64_t>{0, 1, 2, 3}));
    ring.write(record_with(11));
    EXPECT_EQ(ring.dropped(), 7U);
    EXPECT_EQ(taken_from(ring), (std::vector<std::int64_t>{11}));
}

TEST(TraceRing, RoundsItsCapacityUpToAPowerOfTwo) {
    EXPECT_EQ(TraceRing(5).capacity(), 8U);
    EXPECT_EQ(TraceRing(8).capacity(), 8U);
    EXPECT_EQ(TraceRing(0).capacity(), 1U);
}

/// Writer and reader at full speed; the ring is so small that it is full, and wraps, all the time.
TEST(TraceRing, StressNothingIsTornReorderedOrLostUncounted) {
    TraceRing ring(8);
    std::atomic<bool> over{false};
    std::int64_t written = 0;
    std::thread writer([&] {
        const TimePoint end = gilpool::testing::stress_end();
        while (std::chrono::steady_clock::now() < end) {
            for (int i = 0; i < 1'000; ++i) {
                ring.write(record_with(written++));
            }
        }
        over = true;
    });
    std::uint64_t taken = 0;
    std::int64_t latest = -1;
    bool whole = true;
    bool ordered = true;
    const auto look = [&](const TraceRecord& record) {
        whole = whole && is_whole(record);
        ordered = ordered && record.begin > latest;
        latest = record.begin;
        ++taken;
    };
    while (!over) {
        ring.take(look);
    }
    writer.join();
    ring.take(look);
    EXPECT_TRUE(whole);
    EXPECT_TRUE(ordered);
    EXPECT_EQ(taken + ring.dropped(), static_cast<std::uint64_t>(written));
    EXPECT_GT(taken, 0U);
    EXPECT_GT(ring.dropped(), 0U);
}

}  // namespace
}  // namespace gilpool::core
