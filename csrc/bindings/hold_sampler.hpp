// bindings/hold_sampler.hpp: watches, without the GIL, whether one thread holds it during its
// calls.
//
// A native thread that never takes the GIL looks every 25-75 us, or all the time.
// The watched thread makes, starts and stops the sampler and marks its calls, with the GIL held.
// Needs readable gil words.
#pragma once

#include <Python.h>

#include <atomic>
#include <cstdint>
#include <semaphore>

#include "bindings/gil_words.hpp"
#include "bindings/quiet_thread.hpp"
#include "core/clock.hpp"

namespace gilpool::bindings {

class HoldSampler {
  public:
    enum class Manner : int {
        alone,      ///< nobody else wants the GIL
        contested,  ///< somebody else always waits for it, so it changes hands whenever it is let
                    ///< go
        closely     ///< without a pause, for the shortest releases; for milliseconds only
    };

    /// Watches the calling thread from now on; false if there is no thread to be had.
    bool start(Manner manner);
    void stop();
    void abandon() { thread_.abandon(); }
    bool running() const { return thread_.running(); }

    /// A call of the watched thread begins, ends.
    void begin_call(core::TimePoint now) {
        call_began_ns_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
        call_switches_.store(gil_switches(), std::memory_order_relaxed);
        // Odd while in a call. Release: a look that sees the number sees the time.
        calls_.fetch_add(1, std::memory_order_release);
    }
    void end_call() { calls_.fetch_add(1, std::memory_order_release); }

    /// What was seen during calls since start().
    struct Seen {
        double held = 0;      ///< seconds on the GIL
        double released = 0;  ///< seconds off it
        double longest = 0;   ///< longest stretch of a call that kept it, in seconds
        std::uint64_t looks = 0;
        std::uint64_t releases = 0;  ///< looks, when watched closely, that found it let go: proofs
        double blind = 0;  ///< seconds, when watched closely, without a look: it had no CPU
    };
    Seen seen() const;

    /// Seen::releases up to now.
    std::uint64_t releases() const { return releases_.load(std::memory_order_relaxed); }

  private:
    void run();
    void watch();
    void watch_closely();

    PyThreadState* watched_ = nullptr;
    Manner manner_ = Manner::alone;
    std::atomic<std::int64_t> call_began_ns_{0};
    std::atomic<unsigned long> call_switches_{0};
    std::atomic<std::uint64_t> calls_{0};
    /// Written by the watching thread only.
    std::atomic<std::int64_t> held_ns_{0};
    std::atomic<std::int64_t> released_ns_{0};
    std::atomic<std::int64_t> longest_ns_{0};
    std::atomic<std::uint64_t> looks_{0};
    std::atomic<std::uint64_t> releases_{0};
    std::atomic<std::int64_t> blind_ns_{0};
    std::binary_semaphore stop_{0};
    QuietThread thread_;
};

}  // namespace gilpool::bindings
