// bindings/hold_sampler.hpp: watches, without the GIL, whether one thread holds it during its
// calls.
//
// A native thread that never takes the GIL looks every 25-75 us while there is something to watch.
// The watched thread makes, starts and stops the sampler and marks its calls, with the GIL held.
#pragma once

#include <Python.h>
#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "core/clock.hpp"

namespace gilpool::bindings {

class HoldSampler {
  public:
    /// Watches the calling thread from now on; false if there is no thread to be had.
    bool start();
    void stop();
    void abandon() { running_ = false; }

    /// A call of the watched thread begins, ends.
    void begin_call(core::TimePoint now) {
        call_began_ns_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
        // Odd while in a call. Release: a look that sees the number sees the time.
        calls_.fetch_add(1, std::memory_order_release);
    }
    void end_call() { calls_.fetch_add(1, std::memory_order_release); }

    /// What was seen during calls since start().
    struct Seen {
        double held = 0;      ///< seconds on the GIL
        double released = 0;  ///< seconds off it
        double longest = 0;   ///< longest stretch of looks that all found it held, in seconds
        std::uint64_t looks = 0;
    };
    Seen seen() const;

  private:
    static void* enter_thread(void* self) noexcept;
    void watch() noexcept;

    PyThreadState* watched_ = nullptr;
    std::atomic<std::int64_t> call_began_ns_{0};
    std::atomic<std::uint64_t> calls_{0};
    std::atomic<bool> stopping_{false};
    /// Written by the watching thread only.
    std::atomic<std::int64_t> held_ns_{0};
    std::atomic<std::int64_t> released_ns_{0};
    std::atomic<std::int64_t> longest_ns_{0};
    std::atomic<std::uint64_t> looks_{0};
    pthread_t thread_{};
    bool running_ = false;
};

}  // namespace gilpool::bindings
