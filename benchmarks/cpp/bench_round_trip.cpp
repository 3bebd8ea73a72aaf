// One task at a time, submit to answer: back to back, and after a millisecond in which all went to
// sleep.
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "contests.hpp"
#include "evidence.hpp"
#include "peers/concurrent_queue.hpp"
#include "peers/ours.hpp"
#include "peers/tbb.hpp"
#include "peers/textbook.hpp"
#include "usage.hpp"

namespace gilpool::benchmarks {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kWarmUp = 500;

/// The answer that every peer gives: C++20's own wait on an atomic, which spins for a moment.
class Answer {
  public:
    static void give(void* self) {
        count_task(nullptr);
        auto& answered = static_cast<Answer*>(self)->answered_;
        answered.store(true, std::memory_order_release);
        answered.notify_one();
    }
    void await() {
        answered_.wait(false, std::memory_order_acquire);
        answered_.store(false, std::memory_order_relaxed);
    }

  private:
    std::atomic<bool> answered_{false};
};

/// A round trip of any pool.
template <Peer P>
class PostedTrip {
  public:
    PostedTrip() : pool_(kWorkers), submitter_(pool_) {}
    bool operator()() {
        submitter_.post(&Answer::give, &answer_);
        answer_.await();
        return true;
    }

  private:
    Answer answer_;  // outlives the pool: the last task may still be in notify_one()
    P pool_;
    typename P::Submitter submitter_;
};

/// A round trip of ours with a task that is waited for. With a deadline, so that a worker runs it.
class WaitedTrip {
  public:
    WaitedTrip() : pool_(kWorkers) {}
    bool operator()() {
        if (!pool_.pool().submit(task_, core::Lane::cpu)) {
            return false;
        }
        return task_.wait_until(Clock::now() + std::chrono::minutes(1)) ==
               core::WaitResult::finished;
    }

  private:
    core::Task task_{[](core::Task&) { count_task(nullptr); }};
    Ours pool_;
};

/// Runs `trips` trips with `pause` before each one and reports the percentiles in microseconds.
template <class Trip>
void measure(benchmark::State& state, std::chrono::microseconds pause) {
    const auto trips = static_cast<std::size_t>(state.range(0));
    for ([[maybe_unused]] auto _ : state) {
        forget_tasks();
        Trip trip;
        for (std::size_t i = 0; i < kWarmUp; ++i) {
            trip();
        }
        std::vector<float> times(trips);
        bool answered = true;
        const Stretch stretch;
        for (float& time : times) {
            if (pause > pause.zero()) {
                std::this_thread::sleep_for(pause);
            }
            const auto start = Clock::now();
            answered = trip() && answered;
            time = std::chrono::duration<float, std::micro>(Clock::now() - start).count();
        }
        stretch.report(state);
        state.counters["p50"] = percentile(times, 0.50);
        state.counters["p99"] = percentile(times, 0.99);
        if (!answered) {
            state.SkipWithError("a task did not finish");
        } else {
            check_tasks(state, trips + kWarmUp, kWorkers);
        }
    }
}

struct Hot {
    template <Peer P>
    void operator()(benchmark::State& state) const {
        measure<PostedTrip<P>>(state, {});
    }
};

constexpr std::chrono::milliseconds kIdle{1};

struct AfterIdle {
    template <Peer P>
    void operator()(benchmark::State& state) const {
        measure<PostedTrip<P>>(state, kIdle);
    }
};

}  // namespace

void register_round_trip() {
    const Sizes hot = {{20'000}, {5'000}};
    const Sizes idle = {{1'000}, {300}};
    enter("round_trip_hot", "gilpool_task", hot,
          [](benchmark::State& state) { measure<WaitedTrip>(state, {}); });
    enter_peers<Ours, Tbb, ConcurrentQueue, Textbook>("round_trip_hot", hot, Hot{});
    enter("round_trip_idle", "gilpool_task", idle,
          [](benchmark::State& state) { measure<WaitedTrip>(state, kIdle); });
    enter_peers<Ours, Tbb, ConcurrentQueue, Textbook>("round_trip_idle", idle, AfterIdle{});
}

}  // namespace gilpool::benchmarks
