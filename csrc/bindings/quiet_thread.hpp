// bindings/quiet_thread.hpp: threads of a measurement: no signals, exact short naps.
#pragma once

#include <pthread.h>

#include <chrono>
#include <cstdint>
#include <semaphore>

namespace gilpool::bindings {

/// A native thread that takes no signals but the faults it brings upon itself. Unlike
/// core::ServiceThread it may be unwound, as whoever takes the GIL must be. Used by one thread.
class QuietThread {
  public:
    using Function = void (*)(void* context);

    /// Starts a thread that runs the function; false if there is none to be had.
    bool start(Function function, void* context);

    bool running() const { return running_; }

    /// Waits for the end of a thread that needs no GIL for it.
    void join();

    /// Waits for the end of a thread that may need the GIL for it. Called with the GIL, which is
    /// let go meanwhile, over and over: each time wakes one of those who wait for it.
    void join_letting_gil_go();

    /// In a forked child, where the thread does not exist.
    void abandon() { running_ = false; }

  private:
    static void* enter(void* self);

    Function function_ = nullptr;
    void* context_ = nullptr;
    pthread_t thread_{};
    std::binary_semaphore done_{0};
    bool running_ = false;
};

/// Naps of random length within bounds, so that they fall into step with nothing. Made on the
/// thread that takes them: its timers become as exact as the kernel can.
class Naps {
  public:
    Naps(std::chrono::nanoseconds shortest, std::chrono::nanoseconds longest);

    /// Sleeps, but no longer than until `alarm` is released; true if it was.
    bool take(std::binary_semaphore& alarm);

  private:
    std::int64_t shortest_ns_;
    std::uint64_t spread_ns_;
    std::uint64_t random_;
};

}  // namespace gilpool::bindings
