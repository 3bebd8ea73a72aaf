// Task, Latch, TaskGroup: one claim each, exact outcomes, waits that run what they wait for.
#include "core/task.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "core/group.hpp"
#include "core/latch.hpp"
#include "core/pool.hpp"
#include "support/eventually.hpp"
#include "support/gate.hpp"

namespace gilpool::core {
namespace {

using testing::eventually;
using testing::Gate;

/// Counts its runs and remembers the thread.
struct Counted : Task {
    Counted()
        : Task([](Task& self) {
              auto& me = static_cast<Counted&>(self);
              ++me.runs;
              me.thread = std::this_thread::get_id();
          }) {}
    std::atomic<int> runs{0};
    std::thread::id thread;
};

PoolOptions one_token() {
    PoolOptions options;
    options.cpu_tokens = 1;
    options.blocking_cap = 4;
    return options;
}

class TaskTest : public ::testing::Test {
  protected:
    /// Keeps the only token busy, so that what is submitted to the cpu lane stays queued.
    void occupy() { gate.occupy(pool, Lane::cpu); }

    Pool pool{one_token()};
    Gate gate;
};

TEST_F(TaskTest, IsFreshThenDoneAndRunsOnce) {
    Counted task;
    EXPECT_EQ(task.state(), TaskState::fresh);
    EXPECT_FALSE(task.finished());
    ASSERT_TRUE(pool.submit(task, Lane::cpu));
    EXPECT_EQ(task.wait(), WaitResult::finished);
    EXPECT_EQ(task.state(), TaskState::done);
    EXPECT_EQ(task.runs, 1);
    EXPECT_FALSE(task.cancel());
    EXPECT_FALSE(task.run_here());
    EXPECT_EQ(task.runs, 1);
}

TEST_F(TaskTest, CanBeSubmittedAgainWhenFinished) {
    Counted task;
    for (int round = 1; round <= 3; ++round) {
        ASSERT_TRUE(pool.submit(task, round % 2 == 0 ? Lane::blocking : Lane::cpu));
        task.wait();
        EXPECT_EQ(task.runs, round);
    }
}

TEST_F(TaskTest, CancelTakesAQueuedTaskOutAndTheCountIsExactAtOnce) {
    occupy();
    std::vector<std::unique_ptr<Counted>> tasks;
    for (int i = 0; i < 1000; ++i) {
        tasks.push_back(std::make_unique<Counted>());
        ASSERT_TRUE(pool.submit(*tasks.back(), Lane::cpu));
    }
    EXPECT_EQ(pool.stats().queued_cpu, 1000U);
    EXPECT_TRUE(tasks[500]->cancel());
    EXPECT_FALSE(tasks[500]->cancel());
    EXPECT_EQ(tasks[500]->state(), TaskState::cancelled);
    EXPECT_EQ(pool.stats().queued_cpu, 999U);
    tasks[500].reset();
    for (auto& task : tasks) {
        EXPECT_EQ(task != nullptr, task != nullptr && task->cancel());
    }
    EXPECT_EQ(pool.stats().queued_cpu, 0U);
    EXPECT_EQ(pool.stats().taken_back, 1000U);
    gate.open();
}

TEST_F(TaskTest, AWaitRunsAQueuedTaskOnTheWaitingThread) {
    occupy();
    Counted cpu, blocking;
    ASSERT_TRUE(pool.submit(cpu, Lane::cpu));
    EXPECT_EQ(cpu.wait(), WaitResult::finished);
    EXPECT_EQ(cpu.thread, std::this_thread::get_id());
    EXPECT_EQ(cpu.runs, 1);
    gate.open();
}

TEST_F(TaskTest, AWaitWithADeadlineLeavesTheTaskToTheWorkersIfOneCanCome) {
    occupy();
    Counted task;
    ASSERT_TRUE(pool.submit(task, Lane::cpu));
    EXPECT_EQ(task.wait_until(std::chrono::steady_clock::now()), WaitResult::timed_out);
    EXPECT_EQ(task.state(), TaskState::queued);
    gate.open();
    EXPECT_EQ(task.wait_until(testing::far_deadline()), WaitResult::finished);
    EXPECT_NE(task.thread, std::this_thread::get_id());
}

TEST_F(TaskTest, ANestedWaitOnAOneTokenPoolDoesNotDeadlockAndRunsNoStranger) {
    struct Outer : Task {
        explicit Outer(Pool& p)
            : Task([](Task& self) {
                  auto& me = static_cast<Outer&>(self);
                  me.pool.submit(me.stranger, Lane::cpu);
                  me.pool.submit(me.inner, Lane::cpu);
                  me.inner.wait();
                  me.inner_ran_here = me.inner.thread == std::this_thread::get_id();
                  me.stranger_ran_first = me.stranger.finished();
              }),
              pool(p) {}
        Pool& pool;
        Counted stranger, inner;
        bool inner_ran_here = false;
        bool stranger_ran_first = true;
    };
    Outer outer(pool);
    ASSERT_TRUE(pool.submit(outer, Lane::cpu));
    ASSERT_EQ(outer.wait_until(testing::far_deadline()), WaitResult::finished);
    EXPECT_TRUE(outer.inner_ran_here);
    EXPECT_FALSE(outer.stranger_ran_first);
    outer.stranger.wait();
}

TEST_F(TaskTest, EveryWaiterIsToldAndALateOneIsTurnedAway) {
    struct Told : Waiter {
        Told() : Waiter([](Waiter& self) noexcept { ++static_cast<Told&>(self).times; }) {}
        std::atomic<int> times{0};
    };
    occupy();
    Counted task;
    Told early, removed, late;
    EXPECT_TRUE(task.add_waiter(early));  // before submit
    ASSERT_TRUE(pool.submit(task, Lane::cpu));
    EXPECT_TRUE(task.add_waiter(removed));
    EXPECT_TRUE(task.remove_waiter(removed));
    EXPECT_TRUE(task.cancel());
    EXPECT_FALSE(task.add_waiter(late));
    EXPECT_FALSE(task.remove_waiter(early));
    EXPECT_EQ(early.times, 1);
    EXPECT_EQ(removed.times, 0);
    EXPECT_EQ(late.times, 0);
    gate.open();
}

TEST_F(TaskTest, ManyThreadsMayWaitForOneTask) {
    struct Held : Task {
        explicit Held(Gate& g)
            : Task([](Task& self) { static_cast<Held&>(self).gate.wait(); }), gate(g) {}
        Gate& gate;
    } task(gate);
    ASSERT_TRUE(pool.submit(task, Lane::blocking));
    ASSERT_TRUE(eventually([&] { return task.state() == TaskState::claimed; }));
    std::vector<std::thread> waiting;
    std::atomic<int> finished{0};
    for (int i = 0; i < 4; ++i) {
        waiting.emplace_back([&] { finished += task.wait() == WaitResult::finished ? 1 : 0; });
    }
    gate.open();
    for (std::thread& thread : waiting) {
        thread.join();
    }
    EXPECT_EQ(finished, 4);
}

TEST_F(TaskTest, WaitAllAndWaitAnyTellWhatHasFinished) {
    occupy();
    Counted tasks[3];
    Task* all[] = {&tasks[0], &tasks[1], &tasks[2]};
    ASSERT_EQ(pool.submit_many(all, Lane::cpu), 3U);
    const TimePoint now = std::chrono::steady_clock::now();
    EXPECT_EQ(wait_any(all, now).result, WaitResult::timed_out);
    EXPECT_EQ(wait_all(all, now), WaitResult::timed_out);
    EXPECT_TRUE(tasks[1].cancel());
    const AnyFinished any = wait_any(all, kNever);
    EXPECT_EQ(any.result, WaitResult::finished);
    EXPECT_EQ(any.index, 1U);
    EXPECT_EQ(wait_all(all, kNever), WaitResult::finished);
    EXPECT_EQ(tasks[0].runs + tasks[1].runs + tasks[2].runs, 2);
    gate.open();
}

TEST_F(TaskTest, WaitAnySleepsUntilTheFirstFinishes) {
    occupy();
    Counted tasks[2];
    Task* all[] = {&tasks[0], &tasks[1]};
    ASSERT_EQ(pool.submit_many(all, Lane::cpu), 2U);
    std::thread waiting([&] { EXPECT_EQ(wait_any(all, kNever).result, WaitResult::finished); });
    gate.open();
    waiting.join();
    EXPECT_EQ(wait_all(all, kNever), WaitResult::finished);
}

TEST(Latch, OpensAtZeroForEverybodyAndCanBeRaisedAgain) {
    Latch latch(2);
    EXPECT_EQ(latch.wait_until(std::chrono::steady_clock::now()), WaitResult::timed_out);
    latch.count_down();
    EXPECT_EQ(latch.count(), 1U);
    std::thread waiting([&] { EXPECT_EQ(latch.wait(), WaitResult::finished); });
    latch.count_down();
    waiting.join();
    EXPECT_EQ(latch.wait_until(TimePoint::min()), WaitResult::finished);
    latch.add(3);
    EXPECT_EQ(latch.wait_until(std::chrono::steady_clock::now()), WaitResult::timed_out);
    latch.count_down(3);
    EXPECT_EQ(latch.wait(), WaitResult::finished);
}

// The latch is freed as soon as wait() returns, while the last count may just be leaving.
TEST(Latch, MayBeFreedAsSoonAsAWaitHasReturned) {
    Pool pool;
    for (int round = 0; round < 20'000; ++round) {
        auto latch = std::make_unique<Latch>(2);
        for (int i = 0; i < 2; ++i) {
            pool.post([](void* one) { static_cast<Latch*>(one)->count_down(); }, latch.get(),
                      Lane::cpu);
        }
        ASSERT_EQ(latch->wait(), WaitResult::finished);
    }
}

TEST_F(TaskTest, AGroupWaitsForAllOfItsTasksAndRunsThoseThatNobodyBegan) {
    occupy();
    std::vector<Counted> tasks(500);
    TaskGroup group(pool);
    for (Counted& task : tasks) {
        ASSERT_TRUE(group.submit(task, Lane::cpu));
    }
    EXPECT_EQ(group.unfinished(), 500U);
    EXPECT_EQ(group.wait_until(std::chrono::steady_clock::now()), WaitResult::timed_out);
    EXPECT_TRUE(tasks[7].cancel());
    EXPECT_EQ(group.unfinished(), 499U);
    EXPECT_EQ(group.wait(), WaitResult::finished);
    for (const Counted& task : tasks) {
        EXPECT_EQ(task.runs, &task == &tasks[7] ? 0 : 1);
    }
    gate.open();
}

TEST_F(TaskTest, AGroupCountsExactlyHoweverManyTasksItCountedInAdvance) {
    occupy();
    std::vector<Counted> tasks(5'000);
    TaskGroup group(pool);
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        ASSERT_TRUE(group.submit(tasks[i], Lane::cpu));
        ASSERT_EQ(group.unfinished(), i + 1);
        if (i % 700 == 0) {  // gives back what is counted in advance
            ASSERT_EQ(group.wait_until(std::chrono::steady_clock::now()), WaitResult::timed_out);
            ASSERT_EQ(group.unfinished(), i + 1);
        }
    }
    EXPECT_EQ(group.wait(), WaitResult::finished);
    EXPECT_EQ(group.unfinished(), 0U);
    // Another round with the same group, in one call.
    std::vector<Task*> all;
    for (Counted& task : tasks) {
        all.push_back(&task);
    }
    EXPECT_EQ(group.submit_many(all, Lane::cpu), all.size());
    EXPECT_EQ(group.unfinished(), all.size());
    gate.open();
    EXPECT_EQ(group.wait(), WaitResult::finished);
    for (const Counted& task : tasks) {
        ASSERT_EQ(task.runs, 2);
    }
}

/// Fork and join on every level: the sum of 1..n by halves.
struct Sum : Task {
    Sum(Pool& p, int from, int to)
        : Task([](Task& self) { static_cast<Sum&>(self).run(); }), pool(p), low(from), high(to) {}
    void run() {
        if (low == high) {
            total = low;
            return;
        }
        const int middle = low + (high - low) / 2;
        Sum left(pool, low, middle), right(pool, middle + 1, high);
        TaskGroup halves(pool);
        ASSERT_TRUE(halves.submit(left, Lane::cpu));
        ASSERT_TRUE(halves.submit(right, Lane::cpu));
        ASSERT_EQ(halves.wait(), WaitResult::finished);
        total = left.total + right.total;
    }
    Pool& pool;
    int low, high;
    long total = 0;
};

TEST(TaskGroup, NestedGroupsFinishOnAPoolWithOneThread) {
    PoolOptions options = one_token();
    options.blocking_cap = 1;
    Pool pool(options);
    Sum sum(pool, 1, 5'000);
    ASSERT_TRUE(pool.submit(sum, Lane::cpu));
    EXPECT_EQ(sum.wait(), WaitResult::finished);
    EXPECT_EQ(sum.total, 5'000L * 5'001 / 2);
}

TEST(TaskGroup, NestedGroupsFinishOnTheDefaultPool) {
    Pool pool;
    Sum sum(pool, 1, 5'000);
    ASSERT_TRUE(pool.submit(sum, Lane::cpu));
    EXPECT_EQ(sum.wait_until(testing::far_deadline()), WaitResult::finished);
    EXPECT_EQ(sum.total, 5'000L * 5'001 / 2);
}

TEST(TaskGroup, RefusedTasksAreNotWaitedFor) {
    Pool pool(one_token());
    pool.shutdown(kNever);
    Counted task;
    TaskGroup group(pool);
    EXPECT_FALSE(group.submit(task, Lane::cpu));
    EXPECT_EQ(group.wait(), WaitResult::finished);
    EXPECT_EQ(task.state(), TaskState::fresh);
}

}  // namespace
}  // namespace gilpool::core
