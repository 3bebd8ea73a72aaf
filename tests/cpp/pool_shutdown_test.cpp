// Pool::shutdown: nothing accepted is lost, everything is joined or counted, in any state, any
// number of times.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "core/latch.hpp"
#include "core/pool.hpp"
#include "support/eventually.hpp"
#include "support/gate.hpp"
#include "support/stress.hpp"

namespace gilpool::core {
namespace {

using testing::eventually;
using testing::far_deadline;
using testing::Gate;

void count_down(void* latch) {
    static_cast<Latch*>(latch)->count_down();
}

PoolOptions small() {
    PoolOptions options;
    options.cpu_tokens = 2;
    options.blocking_cap = 4;
    return options;
}

TEST(PoolShutdown, OfAPoolThatWasNeverUsedIsNothing) {
    Pool pool;
    EXPECT_EQ(pool.shutdown(TimePoint::min()), 0U);
    EXPECT_EQ(pool.shutdown(kNever), 0U);
    EXPECT_FALSE(pool.post(&count_down, nullptr, Lane::cpu));
    EXPECT_EQ(pool.post_many({}, Lane::cpu), 0U);
}

TEST(PoolShutdown, DrainRunsWhatIsQueued) {
    Pool pool(small());
    Latch done(5000);
    for (int i = 0; i < 5000; ++i) {
        pool.post(&count_down, &done, i % 3 == 0 ? Lane::blocking : Lane::cpu);
    }
    EXPECT_EQ(pool.shutdown(kNever), 0U);
    EXPECT_EQ(done.count(), 0U);
    EXPECT_EQ(pool.stats().threads, 0U);
    EXPECT_EQ(pool.stats().executed, 5000U);
    EXPECT_FALSE(pool.post(&count_down, &done, Lane::cpu));
}

TEST(PoolShutdown, CancelEndsQueuedTasksAndDropsPostedJobs) {
    Pool pool(small());
    Gate gate;
    gate.occupy(pool, Lane::cpu);
    gate.occupy(pool, Lane::cpu);
    Task task([](Task&) { ADD_FAILURE() << "ran although cancelled"; });
    ASSERT_TRUE(pool.submit(task, Lane::cpu));
    Latch never(1);
    ASSERT_TRUE(pool.post(&count_down, &never, Lane::cpu));
    std::thread closing([&] { EXPECT_EQ(pool.shutdown(kNever, OnShutdown::cancel), 0U); });
    // The task is finished while the two jobs still run.
    EXPECT_TRUE(eventually([&] { return task.finished(); }));
    EXPECT_EQ(task.state(), TaskState::cancelled);
    gate.open();
    closing.join();
    EXPECT_EQ(never.count(), 1U);
    EXPECT_EQ(pool.stats().dropped, 1U);
}

TEST(PoolShutdown, ThreadsThatDoNotEndInTimeAreLeftBehindAndHarmless) {
    Gate gate;
    std::atomic<int> came_back{0};
    Task queued([](Task&) {});
    struct Stuck {
        Gate* gate;
        std::atomic<int>* came_back;
        Latch started{2};
    } stuck{&gate, &came_back, Latch(2)};
    static std::atomic<int> hooks;
    hooks = 0;
    {
        Pool pool(small());
        pool.set_thread_hooks({[] { ++hooks; }});
        for (int i = 0; i < 2; ++i) {
            pool.post(
                [](void* context) {
                    auto& me = *static_cast<Stuck*>(context);
                    me.started.count_down();
                    me.gate->wait();
                    ++*me.came_back;
                },
                &stuck, Lane::cpu);
        }
        stuck.started.wait();
        ASSERT_TRUE(pool.submit(queued, Lane::cpu));
        EXPECT_EQ(pool.shutdown(TimePoint::min()), 2U);
        EXPECT_EQ(queued.state(), TaskState::cancelled);
        EXPECT_EQ(pool.stats().threads, 0U);
        EXPECT_EQ(pool.stats().running, 0U);
        EXPECT_EQ(pool.shutdown(kNever), 2U);
    }
    // The pool is gone; its threads come back to what they need of it.
    gate.open();
    EXPECT_TRUE(eventually([&] { return came_back == 2; }));
    EXPECT_EQ(hooks, 0);
}

TEST(PoolShutdown, MayBeCalledByAJobOfThePool) {
    Pool pool(small());
    struct Closer {
        Pool* pool;
        Latch others{50};
        std::size_t left_behind = 99;
        Latch done{1};
    } closer{&pool, Latch(50), 99, Latch(1)};
    std::vector<Job> jobs;
    jobs.push_back({[](void* context) {
                        auto& me = *static_cast<Closer*>(context);
                        me.left_behind = me.pool->shutdown(kNever);
                        EXPECT_EQ(me.others.count(), 0U);
                        me.done.count_down();
                    },
                    &closer});
    for (int i = 0; i < 50; ++i) {
        jobs.push_back({&count_down, &closer.others});
    }
    ASSERT_EQ(pool.post_many(jobs, Lane::cpu), jobs.size());
    EXPECT_EQ(closer.done.wait_until(far_deadline()), WaitResult::finished);
    EXPECT_EQ(closer.left_behind, 0U);
    EXPECT_EQ(pool.shutdown(kNever), 0U);
    EXPECT_EQ(pool.stats().threads, 0U);
}

TEST(PoolShutdown, TwoThreadsMayShutDownTogether) {
    for (int round = 0; round < 200; ++round) {
        Pool pool(small());
        Latch done(20);
        for (int i = 0; i < 20; ++i) {
            pool.post(&count_down, &done, i % 2 == 0 ? Lane::cpu : Lane::blocking);
        }
        std::thread other([&] { EXPECT_EQ(pool.shutdown(kNever), 0U); });
        EXPECT_EQ(pool.shutdown(kNever), 0U);
        other.join();
        ASSERT_EQ(done.count(), 0U);
    }
}

// Posters, submitters and a shutdown of either kind at a random moment: what was accepted has been
// run, cancelled or dropped, each exactly once, and no thread is left.
TEST(PoolShutdownStress, AccountsForEverythingThatWasAccepted) {
    const TimePoint end = testing::stress_end();
    const std::uint64_t seed = testing::stress_seed();
    testing::Random random(seed);
    SCOPED_TRACE(::testing::Message() << "GILPOOL_STRESS_SEED=" << seed);
    std::uint64_t rounds = 0;
    while (std::chrono::steady_clock::now() < end) {
        PoolOptions options;
        options.cpu_tokens = 1 + random.below(3);
        options.blocking_cap = 1 + random.below(4);
        options.idle_timeout = std::chrono::microseconds(random.below(100));
        options.search_spin = std::chrono::microseconds(random.below(6));
        Pool pool(options);
        struct Counted : Task {
            Counted() : Task([](Task& self) { ++static_cast<Counted&>(self).runs; }) {}
            std::atomic<int> runs{0};
        };
        constexpr int kTasks = 300;
        std::atomic<std::uint64_t> posted{0}, posted_runs{0}, submitted{0};
        std::vector<std::unique_ptr<Counted>> tasks[2];
        std::vector<std::thread> producers;
        for (int p = 0; p < 2; ++p) {
            producers.emplace_back([&, p, own_seed = random.next()] {
                testing::Random own(own_seed);
                for (int i = 0; i < kTasks; ++i) {
                    const Lane lane = own.one_in(3) ? Lane::blocking : Lane::cpu;
                    tasks[p].push_back(std::make_unique<Counted>());
                    submitted += pool.submit(*tasks[p].back(), lane) ? 1 : 0;
                    posted +=
                        pool.post(
                            [](void* runs) { ++*static_cast<std::atomic<std::uint64_t>*>(runs); },
                            &posted_runs, lane)
                            ? 1
                            : 0;
                }
            });
        }
        for (std::uint64_t spin = random.below(20'000); spin > 0; --spin) {
            std::atomic_signal_fence(std::memory_order_seq_cst);
        }
        const bool cancel = random.one_in(2);
        ASSERT_EQ(pool.shutdown(kNever, cancel ? OnShutdown::cancel : OnShutdown::drain), 0U);
        const PoolStats after = pool.stats();
        ASSERT_EQ(after.threads, 0U);
        ASSERT_EQ(after.queued(), 0U);
        for (std::thread& producer : producers) {
            producer.join();
        }
        std::uint64_t done = 0, cancelled = 0, fresh = 0;
        for (const auto& half : tasks) {
            for (const auto& task : half) {
                const TaskState state = task->state();
                ASSERT_EQ(task->runs, state == TaskState::done ? 1 : 0);
                done += state == TaskState::done ? 1 : 0;
                cancelled += state == TaskState::cancelled ? 1 : 0;
                fresh += state == TaskState::fresh ? 1 : 0;
            }
        }
        ASSERT_EQ(done + cancelled, submitted);
        ASSERT_EQ(fresh, 2 * kTasks - submitted);
        ASSERT_EQ(posted_runs + after.dropped, posted);
        ASSERT_EQ(after.executed + after.taken_back + after.dropped, submitted + posted);
        ASSERT_TRUE(cancel || after.dropped == 0);
        ASSERT_EQ(after.grown, after.retired);
        ++rounds;
    }
    RecordProperty("rounds", static_cast<int>(rounds));
}

}  // namespace
}  // namespace gilpool::core
