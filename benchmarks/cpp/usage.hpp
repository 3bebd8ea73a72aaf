// What a stretch of work costs this process: wall time, CPU time, context switches, memory.
// Any thread; the figures are the whole process's.
#pragma once

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <chrono>
#include <cstddef>
#include <vector>

namespace gilpool::benchmarks {

/// Starts when made. report() ends it: the benchmark's time, and counters beside it.
class Stretch {
  public:
    Stretch();

    /// seconds() since the start.
    double seconds() const;

    /// report() sets the iteration's time and the counters cpu (seconds), voluntary and
    /// involuntary (context switches).
    void report(benchmark::State& state) const;

  private:
    rusage before_{};
    std::chrono::steady_clock::time_point start_;
};

/// The growth of resident memory from the moment when it was made to its highest point after.
class MemoryGrowth {
  public:
    MemoryGrowth();
    double megabytes() const;

  private:
    std::size_t before_;
};

/// percentile() of samples, which it sorts; 0 without any.
double percentile(std::vector<float>& samples, double part);

}  // namespace gilpool::benchmarks
