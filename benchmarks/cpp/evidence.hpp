// Proof of what really ran: how many tasks, on how many threads, and none on the submitter's.
// count_task() may run on any thread; the others belong to the thread that measures, between
// bursts.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>

namespace gilpool::benchmarks {

/// count_task() is the empty task: one count in a cache line of its own thread, so that the
/// evidence costs every pool the same nanosecond and makes no two workers meet.
void count_task(void* context);

/// forget_tasks() begins anew. No task may be running.
void forget_tasks();

/// tasks_counted() is how many tasks have run; it may lag while workers run.
std::uint64_t tasks_counted();

/// wait_for_tasks() returns when `count` tasks have run in all. It looks every 50 us: a wake-up by
/// the last task would be one more thing that differs between pools. False after a minute.
bool wait_for_tasks(std::uint64_t count);

/// check_tasks() marks the benchmark as failed unless `count` tasks ran, on at most `most_threads`
/// threads, none of them the calling one; it reports the number of threads.
void check_tasks(benchmark::State& state, std::uint64_t count, std::size_t most_threads);

}  // namespace gilpool::benchmarks
