// Pool: lanes, growth, idle threads, regions, batches, and what happens when there is no thread to
// be had.
#include "core/pool.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <set>
#include <thread>
#include <vector>

#include "core/blocking_region.hpp"
#include "core/latch.hpp"
#include "core/native_thread.hpp"
#include "support/eventually.hpp"
#include "support/gate.hpp"

namespace gilpool::core {
namespace {

using testing::eventually;
using testing::far_deadline;
using testing::Gate;

void count_down(void* latch) {
    static_cast<Latch*>(latch)->count_down();
}

PoolOptions small(std::size_t tokens = 2, std::size_t cap = 8) {
    PoolOptions options;
    options.cpu_tokens = tokens;
    options.blocking_cap = cap;
    return options;
}

TEST(Pool, HasNoThreadUntilTheFirstJob) {
    Pool pool;
    EXPECT_EQ(pool.stats().threads, 0U);
    Latch done(1);
    ASSERT_TRUE(pool.post(&count_down, &done, Lane::cpu));
    done.wait();
    EXPECT_EQ(pool.stats().grown, 1U);
}

TEST(Pool, RunsOneProducersJobsInOrderOnOneToken) {
    Pool pool(small(1, 1));
    struct Step {
        std::vector<int>* order;
        int number;
        Latch* done;
    };
    std::vector<int> order;
    Latch done(1000);
    std::vector<Step> steps;
    for (int i = 0; i < 1000; ++i) {
        steps.push_back({&order, i, &done});
    }
    std::vector<Job> jobs;
    for (Step& step : steps) {
        jobs.push_back({[](void* context) {
                            auto& me = *static_cast<Step*>(context);
                            me.order->push_back(me.number);
                            me.done->count_down();
                        },
                        &step});
    }
    EXPECT_EQ(pool.post_many(jobs, Lane::cpu), jobs.size());
    done.wait();
    EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
    EXPECT_EQ(order.size(), 1000U);
}

TEST(Pool, NeverRunsMoreCpuJobsAtOnceThanItHasTokens) {
    Pool pool(small(2));
    static std::atomic<int> inside, most;
    inside = most = 0;
    Latch done(2000);
    for (int i = 0; i < 2000; ++i) {
        pool.post(
            [](void* latch) {
                int seen = most;
                const int now = ++inside;
                while (seen < now && !most.compare_exchange_weak(seen, now)) {
                }
                sched_yield();
                --inside;
                count_down(latch);
            },
            &done, Lane::cpu);
    }
    done.wait();
    EXPECT_LE(most, 2);
}

TEST(Pool, EveryBlockingJobGetsAThreadOfItsOwnUpToTheCap) {
    Pool pool(small(2, 8));
    Gate gate;
    Latch done(12);
    struct Guest {
        Gate* gate;
        Latch* done;
    } guest{&gate, &done};
    for (int i = 0; i < 12; ++i) {
        pool.post(
            [](void* context) {
                auto& me = *static_cast<Guest*>(context);
                me.gate->wait();
                me.done->count_down();
            },
            &guest, Lane::blocking);
    }
    EXPECT_TRUE(eventually([&] { return pool.stats().running == 8; }));
    EXPECT_EQ(pool.stats().queued_blocking, 4U);
    // The cpu lane is not touched by a full blocking lane.
    Latch cpu(1);
    pool.post(&count_down, &cpu, Lane::cpu);
    EXPECT_EQ(cpu.wait_until(far_deadline()), WaitResult::finished);
    gate.open();
    done.wait();
    EXPECT_LE(pool.stats().grown, 10U);
}

TEST(Pool, BlockingJobsDoNotDelayATinyCpuJob) {
    // As many blocked threads as cores: a pool of plain workers would wait for the gate.
    Pool pool(small(2));
    Gate gate;
    gate.occupy(pool, Lane::blocking);
    gate.occupy(pool, Lane::blocking);
    Latch done(1);
    pool.post(&count_down, &done, Lane::cpu);
    EXPECT_EQ(done.wait_until(far_deadline()), WaitResult::finished);
    gate.open();
}

TEST(Pool, ARegionLendsItsTokenAndTheBatchBehindIt) {
    Pool pool(small(1));
    Gate gate;
    struct Guest {
        Gate* gate;
        Latch in_region{1};
        Latch left{1};
    } guest{&gate, Latch(1), Latch(1)};
    std::vector<Job> jobs;
    jobs.push_back({[](void* context) {
                        auto& me = *static_cast<Guest*>(context);
                        {
                            BlockingRegion region;
                            BlockingRegion nested;
                            me.in_region.count_down();
                            me.gate->wait();
                        }
                        me.left.count_down();
                    },
                    &guest});
    // These are in the same batch: without the hand-over they would wait behind the gate.
    Latch others(10);
    for (int i = 0; i < 10; ++i) {
        jobs.push_back({&count_down, &others});
    }
    ASSERT_EQ(pool.post_many(jobs, Lane::cpu), jobs.size());
    guest.in_region.wait();
    EXPECT_EQ(others.wait_until(far_deadline()), WaitResult::finished);
    EXPECT_EQ(pool.stats().blocked, 1U);
    gate.open();
    guest.left.wait();
    EXPECT_TRUE(eventually([&] { return pool.stats().blocked == 0 && pool.stats().running == 0; }));
}

TEST(Pool, ABatchDoesNotWaitBehindALongJob) {
    // One worker takes all eleven; the first does not end until the others have.
    Pool pool(small(2));
    struct Rest {
        Latch done{10};
    } rest;
    std::vector<Job> jobs;
    jobs.push_back({[](void* context) {
                        // Not a region: this stands for a long computation.
                        auto& me = *static_cast<Rest*>(context);
                        EXPECT_TRUE(eventually([&] { return me.done.count() == 0; }));
                    },
                    &rest});
    for (int i = 0; i < 10; ++i) {
        jobs.push_back({&count_down, &rest.done});
    }
    ASSERT_EQ(pool.post_many(jobs, Lane::cpu), jobs.size());
    EXPECT_EQ(rest.done.wait_until(far_deadline()), WaitResult::finished);
}

TEST(Pool, IdleThreadsRetireAfterTheTimeOutAndComeBackWhenNeeded) {
    PoolOptions options = small();
    options.idle_timeout = std::chrono::milliseconds(1);
    Pool pool(options);
    for (int round = 0; round < 3; ++round) {
        Latch done(1);
        ASSERT_TRUE(pool.post(&count_down, &done, Lane::blocking));
        done.wait();
        EXPECT_TRUE(eventually([&] { return pool.stats().threads == 0; }));
    }
    EXPECT_TRUE(eventually([&] { return pool.stats().retired == pool.stats().grown; }));
}

TEST(Pool, ReusesTheThreadThatParkedLast) {
    Pool pool(small(2, 4));
    Gate gate;
    for (int i = 0; i < 4; ++i) {
        gate.occupy(pool, Lane::blocking);
    }
    gate.open();
    ASSERT_TRUE(eventually([&] { return pool.stats().idle == 4; }));
    std::set<std::thread::id> threads;
    for (int i = 0; i < 50; ++i) {
        struct Visit {
            std::thread::id thread;
            Latch done{1};
        } visit;
        pool.post(
            [](void* context) {
                auto& me = *static_cast<Visit*>(context);
                me.thread = std::this_thread::get_id();
                me.done.count_down();
            },
            &visit, Lane::cpu);
        visit.done.wait();
        threads.insert(visit.thread);
        ASSERT_TRUE(eventually([&] { return pool.stats().idle == 4; }));
    }
    EXPECT_EQ(threads.size(), 1U);
    EXPECT_EQ(pool.stats().grown, 4U);
}

TEST(Pool, WorkersBlockAllSignalsButFaults) {
    Pool pool(small());
    struct Visit {
        sigset_t mask;
        Latch done{1};
    } visit;
    pool.post(
        [](void* context) {
            auto& me = *static_cast<Visit*>(context);
            pthread_sigmask(SIG_SETMASK, nullptr, &me.mask);
            me.done.count_down();
        },
        &visit, Lane::cpu);
    visit.done.wait();
    for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGALRM, SIGHUP}) {
        EXPECT_EQ(sigismember(&visit.mask, number), 1) << number;
    }
    EXPECT_EQ(sigismember(&visit.mask, SIGSEGV), 0);
    sigset_t mine;
    pthread_sigmask(SIG_SETMASK, nullptr, &mine);
    EXPECT_EQ(sigismember(&mine, SIGINT), 0);
}

sigset_t mask_of_this_thread() {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return mask;
}

/// Opens its signals and notes what is blocked then.
struct Opener {
    static void run(void* context) {
        auto& me = *static_cast<Opener*>(context);
        open_signals();
        me.mask = mask_of_this_thread();
        me.done.count_down();
    }
    sigset_t mask{};
    Latch done{1};
};

// A worker that a worker has made gets the mask of the thread at the beginning of the chain.
TEST(Pool, AWorkerCanOpenTheSignalsThatItsCreatorHadOpen) {
    sigset_t handed_on;
    sigemptyset(&handed_on);
    sigaddset(&handed_on, SIGUSR1);
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, &handed_on, &before);
    struct Chain {
        Pool& pool;
        Opener first, second;
    };
    {
        Pool pool(small());
        Chain chain{pool, {}, {}};
        pool.post(
            [](void* context) {
                auto& me = *static_cast<Chain*>(context);
                me.pool.post(&Opener::run, &me.second, Lane::blocking);  // signals still blocked
                me.second.done.wait();
                Opener::run(&me.first);
            },
            &chain, Lane::blocking);
        chain.first.done.wait();
        for (const sigset_t& mask : {chain.first.mask, chain.second.mask}) {
            EXPECT_EQ(sigismember(&mask, SIGUSR1), 1);
            EXPECT_EQ(sigismember(&mask, SIGTERM), 0);
            EXPECT_EQ(sigismember(&mask, SIGINT), 0);
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST(Pool, CallsTheExitHookOnEveryWorkerThatEnds) {
    static std::atomic<int> exits;
    exits = 0;
    {
        Pool pool(small());
        pool.set_thread_hooks({[] { ++exits; }});
        Gate gate;
        for (int i = 0; i < 3; ++i) {
            gate.occupy(pool, Lane::blocking);
        }
        gate.open();
    }
    EXPECT_EQ(exits, 3);
}

TEST(Pool, AJobMayEndItsThreadAndNothingElseIsLost) {
    Pool pool(small(2, 4));
    static std::atomic<int> unwound;
    unwound = 0;
    struct Guard {
        ~Guard() { ++unwound; }
    };
    Latch done(200);
    for (int i = 0; i < 100; ++i) {
        const Lane lane = i % 2 == 0 ? Lane::cpu : Lane::blocking;
        pool.post(&count_down, &done, lane);
        pool.post(
            [](void*) {
                Guard guard;
                pthread_exit(nullptr);
            },
            nullptr, lane);
        pool.post(&count_down, &done, lane);
    }
    EXPECT_EQ(done.wait_until(far_deadline()), WaitResult::finished);
    EXPECT_EQ(pool.shutdown(kNever), 0U);
    EXPECT_EQ(unwound, 100);
    EXPECT_EQ(pool.stats().executed, 300U);
    EXPECT_EQ(pool.stats().retired, pool.stats().grown);
}

TEST(Pool, ATaskWhoseThreadEndedInItIsAbandoned) {
    Pool pool(small());
    Task task([](Task&) { pthread_exit(nullptr); });
    ASSERT_TRUE(pool.submit(task, Lane::blocking));
    // With a deadline, so that it is not run here.
    EXPECT_EQ(task.wait_until(far_deadline()), WaitResult::abandoned);
    EXPECT_EQ(task.state(), TaskState::abandoned);
}

TEST(Pool, ResizeLetsMoreOrFewerJobsRunAtOnce) {
    Pool pool(small(1, 1));
    Gate gate;
    gate.occupy(pool, Lane::cpu);
    gate.occupy(pool, Lane::blocking);
    Latch cpu(1), blocking(1);
    pool.post(&count_down, &cpu, Lane::cpu);
    pool.post(&count_down, &blocking, Lane::blocking);
    EXPECT_EQ(pool.stats().queued(), 2U);
    pool.resize(2, 2);
    EXPECT_EQ(cpu.wait_until(far_deadline()), WaitResult::finished);
    EXPECT_EQ(blocking.wait_until(far_deadline()), WaitResult::finished);
    pool.resize(1, 1);
    EXPECT_EQ(pool.stats().cpu_tokens, 1U);
    EXPECT_EQ(pool.stats().blocking_cap, 1U);
    Latch again(1);
    pool.post(&count_down, &again, Lane::cpu);
    ASSERT_TRUE(eventually([&] {
        const PoolStats now = pool.stats();
        return now.idle + now.running == now.threads;
    }));
    EXPECT_EQ(again.count(), 1U);  // the one token is behind the gate
    gate.open();
    again.wait();
}

TEST(Pool, QuiesceEndsIdleThreadsAndLeavesBusyOnesAlone) {
    Pool pool(small());
    Gate idle_soon, busy;
    idle_soon.occupy(pool, Lane::blocking);
    idle_soon.occupy(pool, Lane::blocking);
    busy.occupy(pool, Lane::blocking);
    idle_soon.open();
    ASSERT_TRUE(eventually([&] { return pool.stats().idle == 2; }));
    EXPECT_TRUE(pool.quiesce(far_deadline()));
    EXPECT_EQ(pool.stats().threads, 1U);
    EXPECT_EQ(pool.stats().retired, 2U);
    busy.open();
    Latch done(1);
    EXPECT_TRUE(pool.post(&count_down, &done, Lane::cpu));
    done.wait();
}

TEST(Pool, StatsCountWhatIsThere) {
    Pool pool(small(1, 1));
    Gate gate;
    gate.occupy(pool, Lane::cpu);
    gate.occupy(pool, Lane::blocking);
    Latch done(3);
    pool.post(&count_down, &done, Lane::cpu);
    pool.post(&count_down, &done, Lane::cpu);
    pool.post(&count_down, &done, Lane::blocking);
    PoolStats now = pool.stats();
    EXPECT_EQ(now.running, 2U);
    EXPECT_EQ(now.queued_cpu, 2U);
    EXPECT_EQ(now.queued_blocking, 1U);
    EXPECT_EQ(now.threads, 2U);
    EXPECT_EQ(now.idle, 0U);
    gate.open();
    done.wait();
    EXPECT_TRUE(eventually([&] { return pool.stats().executed == 5; }));
    now = pool.stats();
    EXPECT_EQ(now.queued(), 0U);
}

// ---- no thread to be had ------------------------------------------------------------------------

std::atomic<int> threads_left;
std::atomic<int> refusals;

int limited_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*entry)(void*),
                   void* argument) {
    if (--threads_left < 0) {
        ++refusals;
        return EAGAIN;
    }
    return pthread_create(thread, attributes, entry, argument);
}

PoolOptions limited(int threads) {
    threads_left = threads;
    refusals = 0;
    PoolOptions options = small(2, 100);
    options.create_thread = &limited_create;
    return options;
}

TEST(PoolWithoutThreads, AsManyThreadsAsThereAreDoAllTheWork) {
    Pool pool(limited(3));
    Latch done(20'000);
    for (int i = 0; i < 10'000; ++i) {
        ASSERT_TRUE(pool.post(&count_down, &done, Lane::blocking));
        ASSERT_TRUE(pool.post(&count_down, &done, Lane::cpu));
    }
    EXPECT_EQ(done.wait_until(far_deadline()), WaitResult::finished);
    EXPECT_LE(pool.stats().grown, 3U);
}

TEST(PoolWithoutThreads, OneThreadServesBothLanesEvenIfOneNeverRunsDry) {
    Pool pool(limited(1));
    struct Endless {
        Pool* pool;
        std::atomic<bool> stop{false};
        Latch ended{1};
    } endless{&pool, {}, Latch(1)};
    const auto again = [](void* context) {
        auto& me = *static_cast<Endless*>(context);
        struct Repost {
            static void run(void* c) {
                auto& self = *static_cast<Endless*>(c);
                if (self.stop) {
                    self.ended.count_down();
                } else {
                    self.pool->post(&Repost::run, c, Lane::cpu);
                }
            }
        };
        me.pool->post(&Repost::run, context, Lane::cpu);
    };
    pool.post(again, &endless, Lane::cpu);
    Latch blocking(1);
    pool.post(&count_down, &blocking, Lane::blocking);
    EXPECT_EQ(blocking.wait_until(far_deadline()), WaitResult::finished);
    endless.stop = true;
    endless.ended.wait();
}

TEST(PoolWithoutThreads, AQueuedTaskIsRunByWhoWaitsForIt) {
    Pool pool(limited(0));
    int runs = 0;
    struct Mine : Task {
        explicit Mine(int& r)
            : Task([](Task& self) { ++static_cast<Mine&>(self).runs; }), runs(r) {}
        int& runs;
    } first(runs), second(runs), third(runs);
    ASSERT_TRUE(pool.submit(first, Lane::cpu));
    ASSERT_TRUE(pool.submit(second, Lane::blocking));
    ASSERT_TRUE(pool.submit(third, Lane::cpu));
    EXPECT_GT(refusals, 0);
    EXPECT_FALSE(first.finished());
    EXPECT_EQ(first.wait(), WaitResult::finished);
    Task* both[] = {&second, &third};
    EXPECT_EQ(wait_any(both, kNever).result, WaitResult::finished);
    EXPECT_EQ(wait_all(both, kNever), WaitResult::finished);
    EXPECT_EQ(runs, 3);
}

TEST(PoolWithoutThreads, APostedJobWaitsForAThreadAndRunsWhenOneCanBeMade) {
    Pool pool(limited(0));
    Latch done(2);
    ASSERT_TRUE(pool.post(&count_down, &done, Lane::cpu));
    EXPECT_EQ(pool.stats().queued_cpu, 1U);
    EXPECT_EQ(pool.stats().threads, 0U);
    EXPECT_GT(pool.stats().refused, 0U);
    threads_left = 10;
    ASSERT_TRUE(pool.post(&count_down, &done, Lane::blocking));
    EXPECT_EQ(done.wait_until(far_deadline()), WaitResult::finished);
}

TEST(PoolWithoutThreads, ShutdownRunsWhatIsQueuedItself) {
    Latch done(100);
    Pool pool(limited(0));
    for (int i = 0; i < 100; ++i) {
        ASSERT_TRUE(pool.post(&count_down, &done, i % 2 == 0 ? Lane::cpu : Lane::blocking));
    }
    EXPECT_EQ(pool.shutdown(far_deadline()), 0U);
    EXPECT_EQ(done.count(), 0U);
}

}  // namespace
}  // namespace gilpool::core
