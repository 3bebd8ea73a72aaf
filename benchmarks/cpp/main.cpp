// The benchmark program; compare.py runs it, or by hand: gilpool_bench
// --benchmark_filter=submit_1/.
#include <benchmark/benchmark.h>

#include "contests.hpp"

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
        return 2;
    }
    gilpool::benchmarks::register_submit();
    gilpool::benchmarks::register_round_trip();
    gilpool::benchmarks::register_fork_join();
    gilpool::benchmarks::register_blocking();
    gilpool::benchmarks::register_sleeps();
    gilpool::benchmarks::register_idle();
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
