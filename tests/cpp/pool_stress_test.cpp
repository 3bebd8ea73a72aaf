// Pool under random schedules: every transition races with every other, and the counts come out
// exact. Seen to fail when broken on purpose: without the look at the queues in the critical
// section in which a worker becomes idle, NoWakeIsLost... ends with a lost wake; with the claim's
// CAS replaced by a load and a store, EveryTaskIsRunOrCancelledOnce... finds tasks that ran twice
// or after their cancellation.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#include "core/blocking_region.hpp"
#include "core/group.hpp"
#include "core/latch.hpp"
#include "core/pool.hpp"
#include "support/eventually.hpp"
#include "support/stress.hpp"

namespace gilpool::core {
namespace {

using testing::far_deadline;
using testing::Random;

struct Counted : Task {
    Counted() : Task([](Task& self) { ++static_cast<Counted&>(self).runs; }) {}
    std::atomic<int> runs{0};
};

/// A pool in which everything that can be short is short, so that the rare is frequent.
PoolOptions nervous(Random& random) {
    PoolOptions options;
    options.cpu_tokens = 1 + random.below(3);
    options.blocking_cap = 1 + random.below(4);
    options.idle_timeout = std::chrono::microseconds(random.below(200));
    options.search_spin = std::chrono::microseconds(random.one_in(2) ? 0 : 5);
    return options;
}

Lane some_lane(Random& random) {
    return random.one_in(3) ? Lane::blocking : Lane::cpu;
}

void pause(Random& random) {
    for (std::uint64_t spin = random.below(random.one_in(8) ? 4000 : 100); spin > 0; --spin) {
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
}

class PoolStress : public testing::StressTest {};

// Park and wake: each round hands one job to a pool whose threads are always just about to park, to
// time out or to be made. A wake that is lost leaves the job queued for ever, and the wait runs
// into its deadline.
TEST_F(PoolStress, NoWakeIsLostHoweverTheWorkersPark) {
    std::uint64_t rounds = 0;
    while (!over()) {
        Pool pool(nervous(random));
        for (int i = 0; i < 500; ++i) {
            Latch done(1);
            ASSERT_TRUE(pool.post([](void* latch) { static_cast<Latch*>(latch)->count_down(); },
                                  &done, some_lane(random)));
            ASSERT_EQ(done.wait_until(far_deadline()), WaitResult::finished) << "a wake was lost";
            pause(random);
            ++rounds;
        }
    }
    RecordProperty("rounds", static_cast<int>(rounds));
}

// Claim, cancel, complete: owners free their tasks the moment these are finished, so whoever
// touches a task without the right to is reported by AddressSanitizer, and whoever runs one twice
// by the counts. Posted jobs stand between the tasks, since they leave a worker's batch without the
// lock under which tasks are looked for in it.
TEST_F(PoolStress, EveryTaskIsRunOrCancelledOnceAndIsTheOwnersAgainAfterwards) {
    std::atomic<std::uint64_t> submitted{0}, ran{0}, cancelled{0}, posted{0}, posted_ran{0};
    PoolOptions options;
    options.cpu_tokens = 2;
    options.blocking_cap = 3;
    options.idle_timeout = std::chrono::microseconds(50);
    Pool pool(options);
    std::vector<std::thread> owners;
    for (int i = 0; i < 3; ++i) {
        owners.emplace_back([&, own_seed = random.next()] {
            Random own(own_seed);
            std::vector<std::unique_ptr<Counted>> tasks;
            std::vector<Task*> pointers;
            while (!over()) {
                tasks.clear();
                pointers.clear();
                const std::size_t count = 1 + own.below(own.one_in(4) ? 64 : 6);
                for (std::size_t t = 0; t < count; ++t) {
                    tasks.push_back(std::make_unique<Counted>());
                    pointers.push_back(tasks.back().get());
                }
                const Lane lane = some_lane(own);
                if (own.one_in(2)) {
                    ASSERT_EQ(pool.submit_many(pointers, lane), count);
                } else {
                    for (Task* const task : pointers) {
                        ASSERT_TRUE(pool.post(
                            [](void* n) { ++*static_cast<std::atomic<std::uint64_t>*>(n); },
                            &posted_ran, lane));
                        ASSERT_TRUE(pool.submit(*task, lane));
                    }
                    posted += count;
                }
                submitted += count;
                pause(own);
                while (!tasks.empty()) {
                    const std::size_t index = own.below(tasks.size());
                    std::swap(tasks[index], tasks.back());
                    Counted& task = *tasks.back();
                    bool was_cancelled = false;
                    switch (own.below(5)) {
                        case 0:
                            was_cancelled = task.cancel();
                            break;
                        case 1:
                            task.run_here();
                            break;
                        case 2:
                            task.wait_until(std::chrono::steady_clock::now());
                            break;
                        default:
                            break;
                    }
                    ASSERT_TRUE(task.finished() || !was_cancelled);
                    while (!task.finished()) {
                        task.wait_until(own.one_in(2) ? kNever : far_deadline());
                    }
                    ASSERT_EQ(task.state(), was_cancelled ? TaskState::cancelled : TaskState::done);
                    ASSERT_EQ(task.runs, was_cancelled ? 0 : 1);
                    ++(was_cancelled ? cancelled : ran);
                    tasks.pop_back();
                }
            }
        });
    }
    for (std::thread& owner : owners) {
        owner.join();
    }
    EXPECT_EQ(pool.shutdown(far_deadline()), 0U);
    EXPECT_EQ(ran + cancelled, submitted);
    const PoolStats after = pool.stats();
    EXPECT_EQ(posted_ran, posted);
    EXPECT_EQ(after.executed + after.taken_back, submitted + posted);
    EXPECT_EQ(after.queued(), 0U);
    EXPECT_EQ(after.grown, after.retired);
    RecordProperty("tasks", static_cast<int>(submitted));
    RecordProperty("posted", static_cast<int>(posted));
}

// Several threads go for the same tasks at once: run, cancel, wait, be told. Exactly one gets each.
TEST_F(PoolStress, OfAllWhoWantATaskExactlyOneGetsIt) {
    struct Told : Waiter {
        Told() : Waiter([](Waiter& self) noexcept { ++static_cast<Told&>(self).times; }) {}
        std::atomic<int> times{0};
    };
    constexpr std::size_t kTasks = 200;
    constexpr int kMeddlers = 3;
    Pool pool(nervous(random));
    std::vector<std::unique_ptr<Counted>> tasks(kTasks);
    std::vector<std::unique_ptr<Told>> told(kTasks * kMeddlers);
    std::atomic<int> cancels[kTasks], runs_here[kTasks];
    std::uint64_t total = 0;
    bool stop = false;
    std::barrier round(kMeddlers + 1);
    std::vector<std::thread> meddlers;
    for (int m = 0; m < kMeddlers; ++m) {
        meddlers.emplace_back([&, m, own_seed = random.next()] {
            Random own(own_seed);
            while (true) {
                round.arrive_and_wait();
                if (stop) {
                    return;
                }
                for (std::size_t step = 0; step < kTasks; ++step) {
                    const std::size_t i = own.below(kTasks);
                    Told& mine = *told[i * kMeddlers + static_cast<std::size_t>(m)];
                    switch (own.below(4)) {
                        case 0:
                            cancels[i] += tasks[i]->cancel() ? 1 : 0;
                            break;
                        case 1:
                            runs_here[i] += tasks[i]->run_here() ? 1 : 0;
                            break;
                        case 2:
                            // Added, it is told or removed: never both, never neither.
                            if (mine.times == 0 && tasks[i]->add_waiter(mine)) {
                                pause(own);
                                const bool removed = tasks[i]->remove_waiter(mine);
                                ASSERT_EQ(mine.times, removed ? 0 : 1);
                            }
                            break;
                        default:
                            tasks[i]->wait_until(std::chrono::steady_clock::now());
                    }
                }
                round.arrive_and_wait();
            }
        });
    }
    while (!over()) {
        std::vector<Task*> pointers;
        for (std::size_t i = 0; i < kTasks; ++i) {
            tasks[i] = std::make_unique<Counted>();
            cancels[i] = runs_here[i] = 0;
            pointers.push_back(tasks[i].get());
        }
        for (auto& each : told) {
            each = std::make_unique<Told>();
        }
        const bool before = random.one_in(2);
        if (before) {
            ASSERT_EQ(pool.submit_many(pointers, some_lane(random)), kTasks);
        }
        round.arrive_and_wait();
        if (!before) {
            for (Task* const task : pointers) {
                ASSERT_TRUE(pool.submit(*task, some_lane(random)));
            }
        }
        round.arrive_and_wait();
        ASSERT_EQ(wait_all(pointers, kNever), WaitResult::finished);
        for (std::size_t i = 0; i < kTasks; ++i) {
            ASSERT_LE(cancels[i] + runs_here[i], 1);
            ASSERT_EQ(tasks[i]->state(), cancels[i] == 1 ? TaskState::cancelled : TaskState::done);
            ASSERT_EQ(tasks[i]->runs + cancels[i], 1);
        }
        total += kTasks;
    }
    stop = true;
    round.arrive_and_wait();
    for (std::thread& meddler : meddlers) {
        meddler.join();
    }
    EXPECT_EQ(pool.shutdown(far_deadline()), 0U);
    EXPECT_EQ(pool.stats().executed + pool.stats().taken_back, total);
}

// Jobs that block, post further jobs and wait for them, while the pool is resized and quiesced.
TEST_F(PoolStress, RegionsNestedWaitsResizeAndQuiesceKeepEveryJob) {
    struct Node : Task {
        Node(Pool& p, int d, std::uint64_t s)
            : Task([](Task& self) { static_cast<Node&>(self).run(); }),
              pool(p),
              depth(d),
              seed(s) {}
        void run() {
            Random own(seed);
            if (own.one_in(2)) {
                BlockingRegion region;
                pause(own);
            }
            if (depth == 0) {
                leaves = 1;
                return;
            }
            Node left(pool, depth - 1, own.next()), right(pool, depth - 1, own.next());
            if (own.one_in(2)) {
                TaskGroup both(pool);
                ASSERT_TRUE(both.submit(left, some_lane(own)));
                ASSERT_TRUE(both.submit(right, some_lane(own)));
                ASSERT_EQ(both.wait(), WaitResult::finished);
            } else {
                Task* const pair[] = {&left, &right};
                ASSERT_EQ(pool.submit_many(pair, some_lane(own)), 2U);
                ASSERT_EQ(wait_all(pair, own.one_in(2) ? kNever : far_deadline()),
                          WaitResult::finished);
            }
            leaves = left.leaves + right.leaves;
        }
        Pool& pool;
        int depth;
        std::uint64_t seed;
        int leaves = 0;
    };
    PoolOptions options = nervous(random);
    options.blocking_cap = 64;
    Pool pool(options);
    std::atomic<bool> stop{false};
    std::thread meddler([&, own_seed = random.next()] {
        Random own(own_seed);
        while (!stop) {
            pool.resize(1 + own.below(4), 32 + own.below(64));
            pool.quiesce(far_deadline());
            pause(own);
            const PoolStats now = pool.stats();
            ASSERT_LE(now.blocked, now.running);
            ASSERT_LE(now.idle + now.running, now.threads);
        }
    });
    while (!over()) {
        Node root(pool, 6, random.next());
        ASSERT_TRUE(pool.submit(root, some_lane(random)));
        ASSERT_EQ(root.wait_until(far_deadline()), WaitResult::finished);
        ASSERT_EQ(root.leaves, 64);
    }
    stop = true;
    meddler.join();
    EXPECT_EQ(pool.shutdown(far_deadline()), 0U);
    const PoolStats after = pool.stats();
    EXPECT_EQ(after.threads + after.running + after.blocked + after.idle + after.queued(), 0U);
    EXPECT_EQ(after.grown, after.retired);
}

}  // namespace
}  // namespace gilpool::core
