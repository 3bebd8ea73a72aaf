// TraceLog: threads come, write and go at any time, traces begin and end; every record is in the
// trace it belongs to, or counted as dropped.
#include "core/trace_log.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "core/clock.hpp"
#include "support/stress.hpp"

namespace gilpool::core {
namespace {

TraceRecord record_with(std::int64_t value) {
    TraceRecord record{};
    record.begin = record.end = value;
    return record;
}

std::size_t collect(TraceLog& log) {
    return log.collect([](TraceLog::Thread&) {}, [] {});
}

TEST(TraceLog, ARecordCarriesItsThread) {
    TraceLog log;
    log.begin(100);
    TraceLog::Thread* const first = log.enter(11);
    TraceLog::Thread* const second = log.enter(22);
    second->ring.write(record_with(1));
    first->ring.write(record_with(2));
    const TraceLog::Recording recording = log.take();
    ASSERT_EQ(recording.records, 2U);
    for (const TraceRecord& record : recording.chunks.at(0)) {
        EXPECT_EQ(recording.native_ids.at(record.thread), record.begin == 1 ? 22 : 11);
    }
    log.leave(first);
    log.leave(second);
}

TEST(TraceLog, BeginForgetsWhatWasWrittenBefore) {
    TraceLog log;
    TraceLog::Thread* const thread = log.enter(1, 2);
    for (int i = 0; i < 5; ++i) {
        thread->ring.write(record_with(i));
    }
    thread->open.begin = 7;
    int subject = 0;
    thread->subject = &subject;
    log.begin(100);
    EXPECT_EQ(thread->open.begin, 0);
    EXPECT_EQ(thread->subject, nullptr);
    thread->ring.write(record_with(10));
    const TraceLog::Recording recording = log.take();
    EXPECT_EQ(recording.records, 1U);
    EXPECT_EQ(recording.dropped, 0U);
    log.leave(thread);
}

TEST(TraceLog, WhoLeavesLeavesItsRecordsBehind) {
    TraceLog log;
    log.begin(100);
    TraceLog::Thread* const thread = log.enter(1, 2);
    for (int i = 0; i < 5; ++i) {
        thread->ring.write(record_with(i));
    }
    log.leave(thread);
    const TraceLog::Recording recording = log.take();
    EXPECT_EQ(recording.records, 2U);
    EXPECT_EQ(recording.dropped, 3U);
}

TEST(TraceLog, CollectTellsWhatTheFullestRingHad) {
    TraceLog log;
    log.begin(100);
    TraceLog::Thread* const full = log.enter(1, 4);
    TraceLog::Thread* const other = log.enter(2, 4);
    EXPECT_EQ(collect(log), 0U);
    for (int i = 0; i < 3; ++i) {
        full->ring.write(record_with(i));
    }
    other->ring.write(record_with(9));
    EXPECT_EQ(collect(log), 3U);
    EXPECT_EQ(collect(log), 0U);
    log.leave(full);
    log.leave(other);
}

TEST(TraceLog, MoreThanWasAskedForIsDroppedAndCounted) {
    TraceLog log;
    log.begin(3);
    TraceLog::Thread* const thread = log.enter(1);
    for (int i = 0; i < 5; ++i) {
        thread->ring.write(record_with(i));
    }
    collect(log);
    log.note(record_with(9));
    const TraceLog::Recording recording = log.take();
    EXPECT_EQ(recording.records, 3U);
    EXPECT_EQ(recording.dropped, 3U);
    log.leave(thread);
}

TEST(TraceLog, WhatComesBetweenTwoTracesIsInNeither) {
    TraceLog log;
    TraceLog::Thread* const thread = log.enter(1);
    log.begin(100);
    EXPECT_EQ(log.take().records, 0U);
    thread->ring.write(record_with(1));
    collect(log);
    log.note(record_with(2));
    log.begin(100);
    EXPECT_EQ(log.take().records, 0U);
    log.leave(thread);
}

TEST(TraceLog, ALongTraceFillsManyChunks) {
    TraceLog log;
    log.begin(SIZE_MAX);
    TraceLog::Thread* const thread = log.enter(1);
    constexpr std::size_t kRecords = 3 * TraceLog::Recording::kChunk + 1;
    for (std::size_t i = 0; i < kRecords; ++i) {
        thread->ring.write(record_with(static_cast<std::int64_t>(i)));
        if (i % 1'000 == 0) {
            collect(log);
        }
    }
    const TraceLog::Recording recording = log.take();
    EXPECT_EQ(recording.records, kRecords);
    EXPECT_EQ(recording.chunks.size(), 4U);
    EXPECT_EQ(recording.dropped, 0U);
    log.leave(thread);
}

/// Threads that live for some records each, an observer that looks all the time, and everything
/// that was written in the trace is in it or counted.
TEST(TraceLog, StressThreadsComeAndGoWhileItIsCollected) {
    TraceLog log;
    log.begin(SIZE_MAX);
    const TimePoint end = gilpool::testing::stress_end();
    std::atomic<std::uint64_t> written{0};
    std::atomic<bool> over{false};
    const std::uint64_t seed = gilpool::testing::stress_seed();
    const auto live = [&](std::uint64_t number) {
        gilpool::testing::Random random(seed + number);
        while (std::chrono::steady_clock::now() < end) {
            TraceLog::Thread* const me = log.enter(static_cast<int>(number), 64);
            int task = 0;
            const std::uint64_t records = random.below(300);
            for (std::uint64_t i = 0; i < records; ++i) {
                me->subject = &task;
                me->ring.write(record_with(1));
                me->subject = nullptr;
            }
            written += records;
            log.leave(me);
        }
    };
    std::thread observer([&] {
        while (!over) {
            log.collect([](TraceLog::Thread& thread) { thread.seen = thread.subject != nullptr; },
                        [] {});
        }
    });
    std::vector<std::thread> threads;
    for (std::uint64_t i = 1; i <= 3; ++i) {
        threads.emplace_back(live, i);
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    over = true;
    observer.join();
    const TraceLog::Recording recording = log.take();
    EXPECT_EQ(recording.records + recording.dropped, written);
    EXPECT_GT(recording.records, 0U);
}

}  // namespace
}  // namespace gilpool::core
