// bindings/phase_recorder.hpp: writes down what each thread of an experiment does with the GIL.
//
// A thread stamps the begin and end of its call itself. What the GIL does in between is watched by
// a native thread that never takes it: once a millisecond it reads, for each thread in a call,
// whether the interpreter says that it holds the GIL. So a phase is what happened, whatever the
// called function claims.
//
// run, spawned and close are called with the GIL held. One mutex guards the events; it is held for
// a few reads and one write(2) and never while taking the GIL.
#pragma once

#include <pybind11/pybind11.h>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "core/clock.hpp"

namespace gilpool::bindings {

class PhaseRecorder {
  public:
    using Event = std::tuple<int, std::string, std::int64_t, int>;  ///< index, phase, ns, thread id

    /// Watches `threads` calls. With `fd` >= 0 each event is also written there at once, with `row`
    /// in it; with `gate` the calls begin together, when all threads have arrived.
    PhaseRecorder(int threads, int fd, int row, bool gate);
    ~PhaseRecorder();
    PhaseRecorder(const PhaseRecorder&) = delete;
    PhaseRecorder& operator=(const PhaseRecorder&) = delete;

    /// Stamps that call `index` has been asked for: from now on it waits for its turn.
    void spawned(int index);

    /// Runs function(*args) on the calling thread as call `index` and stamps its phases. Returns
    /// the result as a new reference, or null with the exception set.
    PyObject* run(int index, PyObject* function, PyObject* args);

    /// Stops watching; idempotent. The events stay.
    void close();

    std::vector<Event> events() const;

  private:
    enum class Phase { waiting, held, released, end };
    struct Call {
        PyThreadState* state = nullptr;  ///< the thread that is in the call now, else null
        Phase phase = Phase::end;
        int thread_id = 0;
    };

    void stamp(int index, Phase phase, core::TimePoint when);
    void wait_at_gate(int index);
    void watch();

    const int fd_;
    const int row_;
    const bool gate_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;  ///< the gate opened, or closing_
    std::vector<Call> calls_;
    std::vector<Event> events_;
    int arrived_ = 0;
    bool closing_ = false;
    std::thread watcher_;
};

/// Adds the class to `module`.
void bind_phase_recorder(pybind11::module_& module);

}  // namespace gilpool::bindings
