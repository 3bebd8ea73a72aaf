// Empty tasks: what one costs from submit to done, with one submitter, with four, in batches, and
// as a task that can be waited for. 2 workers and the submitters share the cores.
#include <barrier>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "contests.hpp"
#include "core/group.hpp"
#include "evidence.hpp"
#include "peers/concurrent_queue.hpp"
#include "peers/ours.hpp"
#include "peers/tbb.hpp"
#include "peers/textbook.hpp"
#include "usage.hpp"

namespace gilpool::benchmarks {
namespace {

/// What is queued before the clock starts: threads, first allocations, caches.
constexpr std::size_t kWarmUp = 20'000;
constexpr std::size_t kBatch = 64;

/// Posts `count` tasks one at a time.
template <Peer P>
void post_each(P& pool, std::size_t count) {
    typename P::Submitter submitter(pool);
    for (std::size_t i = 0; i < count; ++i) {
        submitter.post(&count_task, nullptr);
    }
}

void finish(benchmark::State& state, const Stretch& stretch, std::size_t count, bool all_ran) {
    stretch.report(state);
    state.counters["ns_per_task"] = stretch.seconds() * 1e9 / static_cast<double>(count);
    if (!all_ran) {
        state.SkipWithError("the tasks did not finish within a minute");
        return;
    }
    check_tasks(state, count, kWorkers);
}

template <Peer P>
void warm_up(P& pool) {
    post_each(pool, kWarmUp);
    wait_for_tasks(kWarmUp);
    forget_tasks();
}

struct OneSubmitter {
    template <Peer P>
    void operator()(benchmark::State& state) const {
        const auto count = static_cast<std::size_t>(state.range(0));
        for ([[maybe_unused]] auto _ : state) {
            forget_tasks();
            P pool(kWorkers);
            warm_up(pool);
            const Stretch stretch;
            post_each(pool, count);
            finish(state, stretch, count, wait_for_tasks(count));
        }
    }
};

struct FourSubmitters {
    static constexpr std::size_t kSubmitters = 4;

    template <Peer P>
    void operator()(benchmark::State& state) const {
        const auto each = static_cast<std::size_t>(state.range(0)) / kSubmitters;
        for ([[maybe_unused]] auto _ : state) {
            forget_tasks();
            P pool(kWorkers);
            warm_up(pool);
            // The clock starts before the gate opens: this thread may get a core only when the
            // submitters have done.
            std::optional<Stretch> stretch;
            std::barrier gate(kSubmitters + 1, [&]() noexcept { stretch.emplace(); });
            std::vector<std::jthread> submitters;
            for (std::size_t i = 0; i < kSubmitters; ++i) {
                submitters.emplace_back([&] {
                    gate.arrive_and_wait();
                    post_each(pool, each);
                });
            }
            gate.arrive_and_wait();
            const bool all_ran = wait_for_tasks(each * kSubmitters);
            finish(state, *stretch, each * kSubmitters, all_ran);
        }
    }
};

struct Batches {
    template <Peer P>
    void operator()(benchmark::State& state) const {
        const auto batches = static_cast<std::size_t>(state.range(0)) / kBatch;
        for ([[maybe_unused]] auto _ : state) {
            forget_tasks();
            P pool(kWorkers);
            warm_up(pool);
            const auto entries = entries_of<P>(kBatch, &count_task, nullptr);
            typename P::Submitter submitter(pool);
            const Stretch stretch;
            for (std::size_t i = 0; i < batches; ++i) {
                submitter.post_many(entries);
            }
            const bool all_ran = wait_for_tasks(batches * kBatch);
            finish(state, stretch, batches * kBatch, all_ran);
        }
    }
};

struct CountingTask : core::Task {
    CountingTask() : Task([](Task&) { count_task(nullptr); }) {}
};

/// Our tasks with completion: submitted and waited for in groups, by a wait that runs none itself.
/// With `at_once`, a group is submitted by one call.
struct WaitableTasks {
    static constexpr std::size_t kGroup = 10'000;
    bool at_once;

    void operator()(benchmark::State& state) const {
        const std::size_t groups = static_cast<std::size_t>(state.range(0)) / kGroup;
        for ([[maybe_unused]] auto _ : state) {
            forget_tasks();
            Ours pool(kWorkers);
            warm_up(pool);
            const auto tasks = std::make_unique<CountingTask[]>(kGroup);
            std::vector<core::Task*> all;
            for (std::size_t i = 0; i < kGroup; ++i) {
                all.push_back(&tasks[i]);
            }
            core::TaskGroup group(pool.pool());
            bool all_ran = true;
            const Stretch stretch;
            for (std::size_t i = 0; i < groups && all_ran; ++i) {
                if (at_once) {
                    group.submit_many(all, core::Lane::cpu);
                } else {
                    for (core::Task* const task : all) {
                        group.submit(*task, core::Lane::cpu);
                    }
                }
                const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
                all_ran = group.wait_until(deadline) == core::WaitResult::finished;
            }
            finish(state, stretch, groups * kGroup, all_ran);
        }
    }
};

}  // namespace

void register_submit() {
    const Sizes sizes = {{1'000'000}, {200'000}};
    enter_peers<Ours, Tbb, ConcurrentQueue, Textbook>("submit_1", sizes, OneSubmitter{});
    enter_peers<Ours, Tbb, ConcurrentQueue, Textbook>("submit_4", sizes, FourSubmitters{});
    enter_peers<Ours, Tbb, ConcurrentQueue, Textbook>("submit_many", sizes, Batches{});
    enter("submit_1", "gilpool_task", sizes, WaitableTasks{.at_once = false});
    enter("submit_many", "gilpool_task", sizes, WaitableTasks{.at_once = true});
}

}  // namespace gilpool::benchmarks
