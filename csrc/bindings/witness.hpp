// bindings/witness.hpp: a native thread that wants the GIL over and over, and so sees who lets go.
//
// While the switch interval is longer than the measurement, nobody is ever asked to give the GIL
// up. Then each time the witness gets it, a win, the thread that had it let go of its own will. The
// phase says what that thread was doing; it is written and read only with the GIL held, so a win
// during Phase::call proves a release by the call, whatever other threads do.
//
// A win needs the witness to be on a CPU while the GIL is free. Where the kernel says when a thread
// was woken (WakeWatch), a brief release is seen too: it wakes the witness even if that comes late.
//
// start, stop and enter are called with the GIL held, by one thread.
#pragma once

#include <Python.h>
#include <pthread.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <semaphore>

namespace gilpool::bindings {

class Witness {
  public:
    enum class Phase : int { idle, call, control };

    /// Starts the thread; false if there is none to be had.
    bool start();

    /// Ends it and waits for that, letting the GIL go meanwhile. Nothing may be waiting for the GIL
    /// with a long switch interval that is not released by then: put the old one back first.
    void stop();

    /// In a forked child, where the thread does not exist.
    void abandon() { running_ = false; }

    bool running() const { return running_; }

    /// What the calling thread does from now on.
    void enter(Phase phase) { phase_.store(phase, std::memory_order_relaxed); }

    /// How often the witness got the GIL in that phase.
    std::uint64_t wins(Phase phase) const {
        return wins_[static_cast<std::size_t>(phase)].load(std::memory_order_relaxed);
    }

    /// While paused the witness does not ask for the GIL again.
    void pause(bool paused) { paused_.store(paused, std::memory_order_relaxed); }

    /// True from shortly before the witness waits for the GIL until it gets it. Asked with the GIL
    /// held: true stays true until the GIL is let go.
    bool wants_gil() const { return wants_gil_.load(std::memory_order_acquire); }

    /// The kernel's number of the thread.
    pid_t native_id() const { return native_id_; }

    const PyThreadState* state() const { return state_; }

  private:
    static void* enter_thread(void* self);
    void run();

    std::atomic<Phase> phase_{Phase::idle};
    std::array<std::atomic<std::uint64_t>, 3> wins_{};
    std::atomic<bool> wants_gil_{false};
    std::atomic<bool> paused_{false};
    std::atomic<bool> stopping_{false};
    std::binary_semaphore ready_{0};
    std::binary_semaphore done_{0};
    PyInterpreterState* interpreter_ = nullptr;
    PyThreadState* state_ = nullptr;  ///< set before ready_
    pid_t native_id_ = 0;             ///< set before ready_
    pthread_t thread_{};
    bool running_ = false;
};

}  // namespace gilpool::bindings
