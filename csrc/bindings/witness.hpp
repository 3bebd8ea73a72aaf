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
// start, stop and enter are called with the GIL held, by one thread; counters are read by any.
#pragma once

#include <Python.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <semaphore>

#include "bindings/quiet_thread.hpp"

namespace gilpool::bindings {

class Witness {
  public:
    enum class Phase : int { idle, call, control };

    /// After each win the witness stays away for a time between these. Without it, it would be back
    /// before the woken caller has taken the GIL, and starve it; if the time were always the same,
    /// it could fall into step with the calls.
    Witness(std::chrono::nanoseconds shortest_nap, std::chrono::nanoseconds longest_nap)
        : shortest_nap_(shortest_nap), longest_nap_(longest_nap) {}

    /// Starts the thread; false if there is none to be had.
    bool start();

    /// Ends it and waits for that, letting the GIL go meanwhile.
    void stop();

    /// In a forked child, where the thread does not exist.
    void abandon() { thread_.abandon(); }

    bool running() const { return thread_.running(); }

    /// What the calling thread does from now on.
    void enter(Phase phase) { phase_.store(phase, std::memory_order_relaxed); }

    /// How often the witness got the GIL in that phase.
    std::uint64_t wins(Phase phase) const {
        return wins_[static_cast<std::size_t>(phase)].load(std::memory_order_relaxed);
    }

    /// How long all waits for the GIL that have ended took together.
    std::int64_t waited_ns() const { return waited_ns_.load(std::memory_order_relaxed); }

    /// While paused the witness does not ask for the GIL again.
    void pause(bool paused) { paused_.store(paused, std::memory_order_relaxed); }

    /// True from shortly before the witness waits for the GIL until it gets it. Asked with the GIL
    /// held: true stays true until the GIL is let go.
    bool wants_gil() const { return wants_gil_.load(std::memory_order_acquire); }

    /// The kernel's number of the thread, and its thread state.
    pid_t native_id() const { return native_id_; }
    const PyThreadState* state() const { return state_; }

  private:
    void run();

    const std::chrono::nanoseconds shortest_nap_;
    const std::chrono::nanoseconds longest_nap_;
    std::atomic<Phase> phase_{Phase::idle};
    std::array<std::atomic<std::uint64_t>, 3> wins_{};
    std::atomic<std::int64_t> waited_ns_{0};
    std::atomic<bool> wants_gil_{false};
    std::atomic<bool> paused_{false};
    std::binary_semaphore ready_{0};
    std::binary_semaphore stop_{0};
    PyInterpreterState* interpreter_ = nullptr;
    PyThreadState* state_ = nullptr;  ///< written before ready_
    pid_t native_id_ = 0;             ///< written before ready_
    QuietThread thread_;
};

}  // namespace gilpool::bindings
