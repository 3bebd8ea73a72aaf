// bindings/quiet_thread.hpp: threads of a measurement: no signals, exact short naps.
// Any thread; no GIL needed.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>

namespace gilpool::bindings {

/// Starts a thread that takes no signals but the faults it brings upon itself; false if there is
/// none to be had. Unlike core::ServiceThread it may be unwound, as whoever takes the GIL must be.
bool start_quiet_thread(pthread_t* thread, void* (*function)(void*), void* context);

/// The kernel's number of the calling thread.
pid_t native_thread_id();

/// Naps of random length within bounds, so that they fall into step with nothing. Made on the
/// thread that takes them: its timers become as exact as the kernel can.
class Naps {
  public:
    Naps(std::chrono::nanoseconds shortest, std::chrono::nanoseconds longest);
    void take();

  private:
    std::int64_t shortest_ns_;
    std::int64_t spread_ns_;
    std::uint64_t random_;
};

}  // namespace gilpool::bindings
