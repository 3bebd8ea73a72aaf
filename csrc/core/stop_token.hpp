// core/stop_token.hpp: a request to stop that sleepers notice at once.
// Any thread, with or without the GIL; no lock.
//
// Invariant: stopped_ goes from 0 to 1 once and sleepers block only on the value 0, so a request
// that comes between a sleeper's look and its sleep is seen by the kernel's comparison.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/parker.hpp"

namespace gilpool::core {

class StopToken {
  public:
    StopToken() = default;
    StopToken(const StopToken&) = delete;
    StopToken& operator=(const StopToken&) = delete;

    bool stop_requested() const noexcept { return stopped_.load() != 0; }

    /// Sets the flag for good and wakes every sleeper; idempotent.
    void request_stop() noexcept;

    /// Sleeps until `deadline` (timed_out), the request (unparked) or a signal (interrupted).
    ParkResult sleep_until(TimePoint deadline) const noexcept;

  private:
    std::atomic<std::uint32_t> stopped_{0};
};

}  // namespace gilpool::core
