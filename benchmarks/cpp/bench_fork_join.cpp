// Nested fork-join without a cut-off: Fibonacci numbers, two threads. Only pools whose tasks can
// wait for tasks take part; the textbook pool and the plain concurrentqueue pool would deadlock.
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include <atomic>
#include <chrono>
#include <cstdint>

#include "contests.hpp"
#include "core/pool.hpp"
#include "core/task.hpp"
#include "peers/ours.hpp"
#include "usage.hpp"

namespace gilpool::benchmarks {
namespace {

/// How many forks fibonacci(n) makes: one for each call with n >= 2.
std::int64_t forks_of(std::int64_t n) {
    return n < 2 ? 0 : 1 + forks_of(n - 1) + forks_of(n - 2);
}

std::int64_t plain_fibonacci(std::int64_t n) {
    return n < 2 ? n : plain_fibonacci(n - 1) + plain_fibonacci(n - 2);
}

/// A task on the stack of who waits for it; the wait runs it if no worker has begun it.
class Fibonacci : public core::Task {
  public:
    Fibonacci(core::Pool& pool, std::int64_t n)
        : Task([](Task& self) {
              auto& own = static_cast<Fibonacci&>(self);
              own.value = compute(own.pool_, own.n_);
          }),
          pool_(pool),
          n_(n) {}

    std::int64_t value = 0;

  private:
    static std::int64_t compute(core::Pool& pool, std::int64_t n) {
        if (n < 2) {
            return n;
        }
        Fibonacci left(pool, n - 1);
        if (!pool.submit(left, core::Lane::cpu)) {
            return -1;
        }
        const std::int64_t right = compute(pool, n - 2);
        left.wait();
        return left.value + right;
    }

    core::Pool& pool_;
    std::int64_t n_;
};

std::int64_t tbb_fibonacci(std::int64_t n) {
    if (n < 2) {
        return n;
    }
    std::int64_t left = 0;
    oneapi::tbb::task_group group;
    group.run([&left, n] { left = tbb_fibonacci(n - 1); });
    const std::int64_t right = tbb_fibonacci(n - 2);
    group.wait();
    return left + right;
}

void report(benchmark::State& state, const Stretch& stretch, std::int64_t n, std::int64_t value) {
    stretch.report(state);
    const auto forks = static_cast<double>(forks_of(n));
    state.counters["ns_per_fork"] = stretch.seconds() * 1e9 / forks;
    if (value != plain_fibonacci(n)) {
        state.SkipWithError("the number is wrong");
    }
}

void run_ours(benchmark::State& state) {
    const std::int64_t n = state.range(0);
    for ([[maybe_unused]] auto _ : state) {
        Ours ours(kWorkers);
        // The root is a task too, and the wait has a deadline: all runs on the pool's own threads.
        const auto run = [&](std::int64_t of) {
            Fibonacci root(ours.pool(), of);
            ours.pool().submit(root, core::Lane::cpu);
            while (root.wait_until(std::chrono::steady_clock::now() + std::chrono::minutes(1)) !=
                   core::WaitResult::finished) {
            }
            return root.value;
        };
        run(15);
        const Stretch stretch;
        const std::int64_t value = run(n);
        report(state, stretch, n, value);
        state.counters["threads"] = static_cast<double>(ours.pool().stats().grown);
    }
}

/// The caller takes one of the arena's slots, as is usual with TBB: two threads as well.
void run_tbb(benchmark::State& state) {
    const std::int64_t n = state.range(0);
    for ([[maybe_unused]] auto _ : state) {
        const oneapi::tbb::global_control limit(
            oneapi::tbb::global_control::max_allowed_parallelism, kWorkers);
        oneapi::tbb::task_arena arena(kWorkers, 1);
        arena.execute([] { tbb_fibonacci(15); });
        const Stretch stretch;
        const std::int64_t value = arena.execute([n] { return tbb_fibonacci(n); });
        report(state, stretch, n, value);
        state.counters["threads"] = kWorkers;
    }
}

}  // namespace

void register_fork_join() {
    const Sizes sizes = {{25}, {20}};
    enter("fork_join", "gilpool", sizes, run_ours);
    enter("fork_join", "tbb", sizes, run_tbb);
}

}  // namespace gilpool::benchmarks
