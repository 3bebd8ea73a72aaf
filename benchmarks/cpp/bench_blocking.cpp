// Calls that block: thousands at once, and how late a tiny task is beside as many as there are
// workers.
#include <atomic>
#include <chrono>
#include <latch>
#include <thread>
#include <vector>

#include "contests.hpp"
#include "core/blocking_region.hpp"
#include "peers/concurrent_queue.hpp"
#include "peers/ours.hpp"
#include "peers/tbb.hpp"
#include "peers/textbook.hpp"
#include "usage.hpp"

namespace gilpool::benchmarks {
namespace {

using Clock = std::chrono::steady_clock;

// ---- thousands at once
// ------------------------------------------------------------------------------

/// Blocking calls of one length, which count themselves and the threads that are in one.
struct Calls {
    Calls(std::size_t number, std::chrono::milliseconds length)
        : length(length), left(static_cast<std::ptrdiff_t>(number)) {}

    static void run(void* self) {
        auto& calls = *static_cast<Calls*>(self);
        std::this_thread::sleep_for(calls.length);
        calls.done.fetch_add(1, std::memory_order_relaxed);
        calls.left.count_down();
    }

    const std::chrono::milliseconds length;
    std::latch left;
    std::atomic<std::size_t> done{0};
};

/// Ways to make them: start(calls, number) returns an object whose destructor joins the threads.
struct OnOurs {
    explicit OnOurs(std::size_t) : pool(kWorkers) {}
    bool start(Calls& calls, std::size_t number) {
        for (std::size_t i = 0; i < number; ++i) {
            if (!pool.pool().post(&Calls::run, &calls, core::Lane::blocking)) {
                return false;
            }
        }
        return true;
    }
    Ours pool;
};

/// The textbook pool, told beforehand how many threads this will take.
struct OnTextbook {
    explicit OnTextbook(std::size_t number) : pool(static_cast<int>(number)) {}
    bool start(Calls& calls, std::size_t number) {
        Textbook::Submitter submitter(pool);
        for (std::size_t i = 0; i < number; ++i) {
            submitter.post(&Calls::run, &calls);
        }
        return true;
    }
    Textbook pool;
};

struct OnThreads {
    explicit OnThreads(std::size_t number) { threads.reserve(number); }
    bool start(Calls& calls, std::size_t number) {
        for (std::size_t i = 0; i < number; ++i) {
            threads.emplace_back(&Calls::run, &calls);
        }
        return true;
    }
    std::vector<std::jthread> threads;
};

/// Time from nothing to the last call's end, creation of the threads included, their end not.
template <class Way>
void many_blocking(benchmark::State& state) {
    const auto number = static_cast<std::size_t>(state.range(0));
    const std::chrono::milliseconds length(state.range(1));
    for ([[maybe_unused]] auto _ : state) {
        Calls calls(number, length);
        const MemoryGrowth memory;
        const Stretch stretch;
        Way way(number);
        const bool started = way.start(calls, number);
        if (started) {
            calls.left.wait();
        }
        stretch.report(state);
        state.counters["megabytes"] = memory.megabytes();
        if (!started || calls.done != number) {
            state.SkipWithError("not every call was made");
        }
    }
}

// ---- a tiny task beside them
// ------------------------------------------------------------------------

/// kWorkers calls that block, and after all have begun a tiny task.
struct Beside {
    explicit Beside(std::chrono::milliseconds length) : length(length) {}

    static void block(void* self) {
        auto& beside = *static_cast<Beside*>(self);
        beside.blocking.count_down();
        std::this_thread::sleep_for(beside.length);
        beside.left.count_down();
    }
    static void block_in_region(void* self) {
        auto& beside = *static_cast<Beside*>(self);
        const core::BlockingRegion region;
        block(&beside);
    }
    static void tiny(void* self) {
        auto& beside = *static_cast<Beside*>(self);
        beside.begun = Clock::now();
        beside.left.count_down();
    }

    const std::chrono::milliseconds length;
    std::latch blocking{kWorkers};
    std::latch left{kWorkers + 1};
    Clock::time_point begun;
};

void tiny_beside(benchmark::State& state, auto post_blocking, auto post_tiny) {
    for ([[maybe_unused]] auto _ : state) {
        Beside beside{std::chrono::milliseconds(state.range(0))};
        const Stretch stretch;
        for (int i = 0; i < kWorkers; ++i) {
            post_blocking(&beside);
        }
        beside.blocking.wait();
        const auto posted = Clock::now();
        post_tiny(&beside);
        beside.left.wait();
        stretch.report(state);
        state.counters["late_ms"] =
            std::chrono::duration<double, std::milli>(beside.begun - posted).count();
    }
}

struct TinyBeside {
    template <Peer P>
    void operator()(benchmark::State& state) const {
        P pool(kWorkers);
        typename P::Submitter submitter(pool);
        tiny_beside(
            state, [&](void* beside) { submitter.post(&Beside::block, beside); },
            [&](void* beside) { submitter.post(&Beside::tiny, beside); });
    }
};

/// Ours, told that the calls block: by the lane they are posted to.
void tiny_beside_lane(benchmark::State& state) {
    Ours ours(kWorkers);
    core::Pool& pool = ours.pool();
    tiny_beside(
        state, [&](void* beside) { pool.post(&Beside::block, beside, core::Lane::blocking); },
        [&](void* beside) { pool.post(&Beside::tiny, beside, core::Lane::cpu); });
}

/// Ours, told by the call itself, when it gets to the part that blocks.
void tiny_beside_region(benchmark::State& state) {
    Ours ours(kWorkers);
    core::Pool& pool = ours.pool();
    tiny_beside(
        state, [&](void* beside) { pool.post(&Beside::block_in_region, beside, core::Lane::cpu); },
        [&](void* beside) { pool.post(&Beside::tiny, beside, core::Lane::cpu); });
}

}  // namespace

void register_blocking() {
    const Sizes many = {{10'000, 1'000}, {1'000, 200}};
    enter("many_blocking", "gilpool", many, many_blocking<OnOurs>);
    enter("many_blocking", "textbook_wide", many, many_blocking<OnTextbook>);
    enter("many_blocking", "thread_each", many, many_blocking<OnThreads>);
    const Sizes beside = {{1'000}, {200}};
    enter("tiny_beside_blocking", "gilpool", beside, tiny_beside_lane);
    enter("tiny_beside_blocking", "gilpool_region", beside, tiny_beside_region);
    enter_peers<Tbb, ConcurrentQueue, Textbook>("tiny_beside_blocking", beside, TinyBeside{});
}

}  // namespace gilpool::benchmarks
