// Fork: the parent loses nothing, the child begins anew, and what it inherited can be told from
// what is its own.
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "core/blocking_region.hpp"
#include "core/fork.hpp"
#include "core/group.hpp"
#include "core/latch.hpp"
#include "core/pool.hpp"
#include "support/all_idle.hpp"
#include "support/eventually.hpp"
#include "support/gate.hpp"
#include "support/process.hpp"
#include "support/stress.hpp"

namespace gilpool::core {
namespace {

using testing::all_idle;
using testing::eventually;
using testing::far_deadline;
using testing::Gate;
using testing::in_child;
using testing::in_child_of_busy_process;

void count_down(void* latch) {
    static_cast<Latch*>(latch)->count_down();
}

PoolOptions small(std::size_t tokens = 2) {
    PoolOptions options;
    options.cpu_tokens = tokens;
    options.blocking_cap = 4;
    return options;
}

/// One job on each lane, waited for until all workers are parked: one that a fork finds at work
/// vanishes in the child, where ThreadSanitizer still counts it as alive and aborts as soon as a
/// new thread is given the same stack.
bool works(Pool& pool) {
    Latch done(2);
    return pool.post(&count_down, &done, Lane::cpu) &&
           pool.post(&count_down, &done, Lane::blocking) &&
           done.wait_until(far_deadline()) == WaitResult::finished &&
           eventually([&] { return all_idle(pool); });
}

TEST(PoolFork, TheChildsPoolWorksAtOnceAndHasThreadsOfItsOwn) {
    Pool pool(small());
    ASSERT_TRUE(works(pool));
    EXPECT_TRUE(in_child([&] {
        const PoolStats before = pool.stats();
        return before.threads == 0 && before.queued() == 0 && before.executed == 0 && works(pool) &&
               pool.shutdown(far_deadline()) == 0;
    }));
    EXPECT_TRUE(works(pool));
}

TEST(PoolFork, AGrandchildsPoolWorksToo) {
    Pool pool(small());
    ASSERT_TRUE(works(pool));
    EXPECT_TRUE(in_child(
        [&] { return works(pool) && in_child([&] { return works(pool); }) && works(pool); }));
}

TEST(PoolFork, IdleWorkersAreGoneBeforeTheFork) {
    Pool pool(small());
    const std::size_t before = testing::threads_of_this_process();
    static std::size_t threads_at_fork;
    threads_at_fork = 0;
    // The client's parent hook is the first place to look at the process after the pool has
    // prepared it.
    set_fork_hooks(
        ForkStage::client,
        {nullptr, [] { threads_at_fork = testing::threads_of_this_process(); }, nullptr});
    for (int round = 0; round < 20; ++round) {
        ASSERT_TRUE(works(pool));
        EXPECT_TRUE(in_child([] { return true; }));
        EXPECT_EQ(threads_at_fork, before);
    }
    set_fork_hooks(ForkStage::client, {});
    EXPECT_TRUE(works(pool));
}

TEST(PoolFork, WithAnExitHookIdleWorkersStayUnlessTheOwnerQuiesces) {
    // The hook could wait for something that the forking thread holds, so a fork must not wait for
    // it.
    Pool pool(small());
    pool.set_thread_hooks({[] {}});
    ASSERT_TRUE(works(pool));
    const std::size_t threads = pool.stats().threads;
    EXPECT_TRUE(in_child([&] { return works(pool); }));
    EXPECT_EQ(pool.stats().threads, threads);
    EXPECT_TRUE(pool.quiesce(far_deadline()));
    EXPECT_EQ(pool.stats().threads, 0U);
}

TEST(PoolFork, InheritedTasksReadAbandonedInTheChildAndFinishInTheParent) {
    Pool pool(small(1));
    Gate gate;
    struct Held : Task {
        explicit Held(Gate& g)
            : Task([](Task& self) { static_cast<Held&>(self).gate.wait(); }), gate(g) {}
        Gate& gate;
    } running(gate);
    Task queued([](Task&) {}), done([](Task&) {}), fresh([](Task&) {}), grouped([](Task&) {});
    TaskGroup group(pool);
    Latch latch(1);
    ASSERT_TRUE(pool.submit(done, Lane::cpu));
    done.wait();
    ASSERT_TRUE(pool.submit(running, Lane::cpu));
    ASSERT_TRUE(eventually([&] { return running.state() == TaskState::claimed; }));
    ASSERT_TRUE(pool.submit(queued, Lane::cpu));
    ASSERT_TRUE(group.submit(grouped, Lane::cpu));
    ASSERT_TRUE(pool.post(&count_down, &latch, Lane::cpu));
    EXPECT_TRUE(in_child([&] {
        Task* both[] = {&queued, &running};
        const bool lost =
            running.state() == TaskState::abandoned && queued.state() == TaskState::abandoned &&
            running.finished() && running.wait() == WaitResult::abandoned &&
            queued.wait_until(kNever) == WaitResult::abandoned && !queued.cancel() &&
            !queued.run_here() && wait_all(both, kNever) == WaitResult::abandoned &&
            wait_any(both, kNever).result == WaitResult::abandoned &&
            group.wait() == WaitResult::abandoned && latch.wait() == WaitResult::abandoned;
        const bool kept = done.state() == TaskState::done && fresh.state() == TaskState::fresh;
        // The same objects serve again, under the child's own generation.
        const bool usable = pool.submit(fresh, Lane::cpu) && pool.submit(queued, Lane::blocking) &&
                            fresh.wait() == WaitResult::finished &&
                            queued.wait() == WaitResult::finished;
        return lost && kept && usable;
    }));
    EXPECT_EQ(queued.state(), TaskState::queued);
    gate.open();
    EXPECT_EQ(queued.wait_until(far_deadline()), WaitResult::finished);
    EXPECT_EQ(running.wait(), WaitResult::finished);
    EXPECT_EQ(group.wait(), WaitResult::finished);
    EXPECT_EQ(latch.wait(), WaitResult::finished);
}

TEST(PoolFork, AJobMayForkAndTheChildIsAnOrdinaryThread) {
    // Pools on both sides of the forking one in the list of pools, each with idle threads to
    // retire.
    Pool before(small()), pool(small()), after(small());
    ASSERT_TRUE(works(before) && works(after));
    struct Visit {
        Pool* pool;
        bool child_worked = false;
        Latch done{1};
    } visit{&pool, false, Latch(1)};
    pool.post(
        [](void* context) {
            auto& me = *static_cast<Visit*>(context);
            BlockingRegion region;
            me.child_worked = in_child([&] {
                BlockingRegion in_the_child;
                return works(*me.pool);
            });
            me.done.count_down();
        },
        &visit, Lane::cpu);
    EXPECT_EQ(visit.done.wait_until(far_deadline()), WaitResult::finished);
    EXPECT_TRUE(visit.child_worked);
    EXPECT_TRUE(works(before) && works(pool) && works(after));
}

TEST(PoolFork, AJobThatReturnsInTheChildEndsItsThreadAndNothingElse) {
    if (testing::kSanitized) {
        GTEST_SKIP() << "the sanitizers' own exit needs the main thread, which the child lacks";
    }
    Pool pool(small());
    struct Visit {
        pid_t child = -1;
        Latch done{1};
    } visit;
    pool.post(
        [](void* context) {
            auto& me = *static_cast<Visit*>(context);
            const pid_t child = fork();
            if (child != 0) {
                me.child = child;
                me.done.count_down();
            }
        },
        &visit, Lane::cpu);
    visit.done.wait();
    // The last thread of the child has returned from its start routine: that is exit(0).
    int status = -1;
    EXPECT_EQ(waitpid(visit.child, &status, 0), visit.child);
    EXPECT_EQ(status, 0);
}

TEST(PoolFork, TheChildOfAClosedPoolIsOpen) {
    Pool pool(small());
    pool.shutdown(kNever);
    EXPECT_TRUE(in_child([&] { return works(pool); }));
    EXPECT_FALSE(pool.post(&count_down, nullptr, Lane::cpu));
}

TEST(PoolFork, TheProcessPoolWorksInTheChild) {
    EXPECT_TRUE(in_child([] { return works(Pool::process()); }));
    EXPECT_TRUE(works(Pool::process()));
    EXPECT_TRUE(in_child([] { return works(Pool::process()); }));
    EXPECT_EQ(Pool::process().shutdown(far_deadline()), 0U);
}

/// ThreadSanitizer has a thread of its own.
#if defined(__SANITIZE_THREAD__)
constexpr std::size_t kThreadsOfATest = 2;
#else
constexpr std::size_t kThreadsOfATest = 1;
#endif

// Two threads keep the pool and each other's tasks busy while the main thread forks: 1,000 times,
// or 10,000 in the long form. Every child runs jobs; the parent's tasks are counted; nothing grows.
TEST(PoolForkStress, ManyForksUnderLoadLoseAndLeakNothing) {
#if defined(__SANITIZE_ADDRESS__)
    GTEST_SKIP()
        << "this sanitizer's registry of threads has no fork handler (as of GCC 12): forked "
           "amid another thread's pthread_create(), the child waits for it for ever";
#endif
    const bool long_form = testing::stress_time() >= std::chrono::seconds(60);
    const int forks = (testing::kSanitized ? 150 : 1'000) * (long_form ? 10 : 1);
    // One heap for all threads, so that what is in use can be counted.
    mallopt(M_ARENA_MAX, 1);
    Pool pool(small());
    struct Counted : Task {
        Counted() : Task([](Task& self) { ++static_cast<Counted&>(self).runs; }) {}
        int runs = 0;
    };
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> submitted{0}, finished{0}, posted{0}, posted_runs{0};
    std::vector<std::thread> load;
    for (int i = 0; i < 2; ++i) {
        load.emplace_back([&, seed = testing::stress_seed() + static_cast<std::uint64_t>(i)] {
            testing::Random random(seed);
            while (!stop) {
                auto task = std::make_unique<Counted>();
                const Lane lane = random.one_in(4) ? Lane::blocking : Lane::cpu;
                submitted += pool.submit(*task, lane) ? 1 : 0;
                posted +=
                    pool.post([](void* runs) { ++*static_cast<std::atomic<std::uint64_t>*>(runs); },
                              &posted_runs, lane)
                        ? 1
                        : 0;
                const bool cancelled = random.one_in(3) && task->cancel();
                while (!cancelled && task->wait_until(random.one_in(2) ? kNever : far_deadline()) ==
                                         WaitResult::interrupted) {
                }
                ASSERT_EQ(task->runs, cancelled ? 0 : 1);
                ++finished;
            }
        });
    }
    std::size_t descriptors = 0, mappings = 0, heap = 0, resident = 0, most_threads = 0;
    for (int i = 0; i < forks; ++i) {
        // A sanitizer's own locks may be held by a thread that the child lacks: there it only
        // leaves.
        if (!in_child_of_busy_process([&] { return testing::kSanitized || works(pool); })) {
            ADD_FAILURE() << "in the child of fork " << i;
            break;
        }
        most_threads = std::max(most_threads, testing::threads_of_this_process());
        if (i == forks / 2) {  // caches are full by now
            descriptors = testing::open_descriptors();
            mappings = testing::mappings();
            heap = testing::heap_in_use();
            resident = testing::resident_bytes();
        }
    }
    EXPECT_EQ(testing::open_descriptors(), descriptors);
    if (!testing::kSanitized) {
        // A few stacks more or less are cached, and a few threads more or less exist at any moment.
        EXPECT_LE(testing::mappings(), mappings + 100);
        EXPECT_LE(testing::resident_bytes(), resident + (4U << 20));
    }
    // Those of the test, those that the pool may have, and those with some instructions to go.
    EXPECT_LE(most_threads, 64U);
    stop = true;
    for (std::thread& thread : load) {
        thread.join();
    }
    EXPECT_EQ(submitted, finished);
    if (!testing::kSanitized) {
        // Without the load: on a busy machine its posts get ahead of the workers for as long as it
        // lasts. The two queues keep up to 16 blocks of 4 kB each, from when they first need them.
        const std::size_t most = heap + 160'000 + static_cast<std::size_t>(forks) * 8;
        EXPECT_TRUE(eventually([&] { return testing::heap_in_use() <= most; }))
            << testing::heap_in_use() << " bytes, at most " << most << " are to be expected";
    }
    EXPECT_EQ(pool.shutdown(far_deadline()), 0U);
    const PoolStats after = pool.stats();
    EXPECT_EQ(posted, posted_runs);
    EXPECT_EQ(after.executed + after.taken_back, submitted + posted);
    EXPECT_EQ(after.grown, after.retired);
    EXPECT_EQ(after.threads, 0U);
    EXPECT_EQ(after.unjoined, 0U);
    EXPECT_TRUE(eventually([] { return testing::threads_of_this_process() == kThreadsOfATest; }));
    RecordProperty("forks", forks);
    RecordProperty("tasks", static_cast<int>(submitted + posted));
    RecordProperty("most_threads", static_cast<int>(most_threads));
    RecordProperty("heap_growth", static_cast<int>(testing::heap_in_use() - heap));
    RecordProperty("resident_growth", static_cast<int>(testing::resident_bytes() - resident));
}

}  // namespace
}  // namespace gilpool::core
