// bindings/hog_watch.hpp: keeps a measurement from being stuck behind a thread that computes.
//
// While the switch interval is long, another Python thread that gets the GIL and computes would
// keep it for all that time. A native thread looks every few milliseconds; when a thread that is
// neither the measured one nor the witness has kept the GIL for too long, it puts the old interval
// back and asks for the GIL until the measurement has ended. GIL held in start and stop.
#pragma once

#include <Python.h>

#include <atomic>
#include <semaphore>

#include "bindings/quiet_thread.hpp"

namespace gilpool::bindings {

class HogWatch {
  public:
    /// Protects the calling thread; `witness` may keep the GIL too. Needs readable gil words.
    bool start(const PyThreadState* witness, unsigned long old_interval_us);
    void stop();
    void abandon() { thread_.abandon(); }

    /// True once there was such a thread: the switch interval is short again.
    bool found() const { return found_.load(); }

  private:
    void watch();
    void ask_for_gil();

    PyInterpreterState* interpreter_ = nullptr;
    const PyThreadState* measured_ = nullptr;
    const PyThreadState* witness_ = nullptr;
    unsigned long old_interval_us_ = 0;
    std::atomic<bool> found_{false};
    std::binary_semaphore stop_{0};
    QuietThread thread_;
};

}  // namespace gilpool::bindings
