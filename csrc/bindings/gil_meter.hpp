// bindings/gil_meter.hpp: how busy the GIL is, seen from outside.
//
// One native thread looks `hz` times a second who holds the GIL; it never takes it. Another one, a
// knocker, takes the GIL a few times a second and so feels what a thread that comes back from I/O
// feels. start and stop are called with the GIL held; counters are read by any thread at any time.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <semaphore>

#include "bindings/quiet_thread.hpp"
#include "bindings/witness.hpp"
#include "core/clock.hpp"

namespace gilpool::bindings {

class GilMeter {
  public:
    /// Looks `hz` times and knocks `knocks` times a second; with 0 not at all.
    GilMeter(double hz, double knocks);
    ~GilMeter();
    GilMeter(const GilMeter&) = delete;
    GilMeter& operator=(const GilMeter&) = delete;

    void start();
    void stop();

    struct Counters {
        double elapsed = 0;  ///< seconds since start, until stop
        double busy = 0;     ///< seconds in which somebody held the GIL
        double missed = 0;   ///< seconds of which the meter knows nothing: it had no CPU
        double longest_hold = 0;
        double waited = 0;  ///< seconds in all knocks together
        std::uint64_t knocks = 0;
        std::uint64_t switches = 0;
        std::uint64_t looks = 0;
    };
    Counters counters() const;

  private:
    void watch();

    const core::Duration period_;
    const std::uint32_t generation_;
    bool started_ = false;
    std::atomic<std::int64_t> began_ns_{0};
    std::atomic<std::int64_t> ended_ns_{0};  ///< 0 while it runs
    /// Written by the watching thread only.
    std::atomic<std::int64_t> busy_ns_{0};
    std::atomic<std::int64_t> missed_ns_{0};
    std::atomic<std::int64_t> longest_ns_{0};
    std::atomic<std::uint64_t> switches_{0};
    std::atomic<std::uint64_t> looks_{0};
    std::binary_semaphore stop_{0};
    QuietThread watcher_;
    std::unique_ptr<Witness> knocker_;
};

/// Adds the class to `module`.
void bind_gil_meter(pybind11::module_& module);

}  // namespace gilpool::bindings
