// The contests: each is run as `CONTEST/CONTESTANT/ARGUMENT...` and registered by a function of its
// own. Called by main() before any benchmark runs.
#pragma once

#include <benchmark/benchmark.h>

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "peers/peer.hpp"

namespace gilpool::benchmarks {

void register_submit();
void register_round_trip();
void register_fork_join();
void register_blocking();
void register_sleeps();
void register_idle();

/// Sizes of a contest; each list becomes one benchmark.
using Sizes = std::initializer_list<std::vector<std::int64_t>>;

/// enter() registers one contestant. Every contest keeps its own time and runs once a process: its
/// body warms up, measures, and checks what really ran.
inline void enter(const std::string& contest, const std::string& contestant, Sizes sizes,
                  std::function<void(benchmark::State&)> body) {
    auto* const entry =
        benchmark::RegisterBenchmark((contest + "/" + contestant).c_str(), std::move(body));
    entry->UseManualTime()->Iterations(1)->Unit(benchmark::kMillisecond);
    for (const auto& size : sizes) {
        entry->Args(size);
    }
}

/// enter_peers<A, B>() registers the same body for several peers; it is called as body<P>(state).
template <Peer... P>
void enter_peers(const std::string& contest, Sizes sizes, auto body) {
    (enter(contest, P::kName, sizes,
           [body](benchmark::State& state) { body.template operator()<P>(state); }),
     ...);
}

}  // namespace gilpool::benchmarks
