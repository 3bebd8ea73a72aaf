// What a pool burns in the second after a burst, when there is nothing left to do.
#include <sys/resource.h>

#include <chrono>
#include <thread>

#include "contests.hpp"
#include "evidence.hpp"
#include "peers/concurrent_queue.hpp"
#include "peers/ours.hpp"
#include "peers/tbb.hpp"
#include "peers/textbook.hpp"
#include "usage.hpp"

namespace gilpool::benchmarks {
namespace {

struct AfterBurst {
    template <Peer P>
    void operator()(benchmark::State& state) const {
        const auto burst = static_cast<std::size_t>(state.range(0));
        for ([[maybe_unused]] auto _ : state) {
            forget_tasks();
            P pool(kWorkers);
            typename P::Submitter submitter(pool);
            for (std::size_t i = 0; i < burst; ++i) {
                submitter.post(&count_task, nullptr);
            }
            const bool all_ran = wait_for_tasks(burst);
            const Stretch stretch;
            std::this_thread::sleep_for(std::chrono::seconds(1));
            stretch.report(state);
            if (!all_ran) {
                state.SkipWithError("the tasks did not finish within a minute");
            } else {
                check_tasks(state, burst, kWorkers);
            }
        }
    }
};

}  // namespace

void register_idle() {
    const Sizes sizes = {{100'000}, {20'000}};
    enter_peers<Ours, Tbb, ConcurrentQueue, Textbook>("idle_second", sizes, AfterBurst{});
}

}  // namespace gilpool::benchmarks
