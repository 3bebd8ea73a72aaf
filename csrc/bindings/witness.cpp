// bindings/witness.cpp: the witness's loop, its start and its end.
#include "bindings/witness.hpp"

#include "bindings/gil.hpp"
#include "core/clock.hpp"
#include "core/native_thread.hpp"

namespace gilpool::bindings {

bool Witness::start() {
    interpreter_ = PyInterpreterState_Get();
    const bool started =
        thread_.start([](void* self) { static_cast<Witness*>(self)->run(); }, this);
    if (started) {
        // When the thread makes its state, a memory hook (tracemalloc's) takes the GIL, and a
        // free-threaded build, which may have its GIL on, stops every thread that runs Python.
        const Released released;
        ready_.acquire();
    }
    return started;
}

void Witness::stop() {
    if (thread_.running()) {
        stop_.release();
        thread_.join_letting_gil_go();
    }
}

void Witness::run() {
    PyThreadState* const state = PyThreadState_New(interpreter_);
    state_ = state;
    native_id_ = static_cast<pid_t>(core::kernel_id());
    ready_.release();
    Naps naps(shortest_nap_, longest_nap_);
    bool stopping = false;
    while (true) {
        if (stopping || !paused_.load(std::memory_order_relaxed)) {
            const core::TimePoint began = core::monotonic_now();
            wants_gil_.store(true, std::memory_order_release);
            PyEval_RestoreThread(state);
            wants_gil_.store(false, std::memory_order_relaxed);
            waited_ns_.fetch_add((core::monotonic_now() - began).count(),
                                 std::memory_order_relaxed);
            if (stopping) {
                break;
            }
            const auto phase = static_cast<std::size_t>(phase_.load(std::memory_order_relaxed));
            wins_[phase].fetch_add(1, std::memory_order_relaxed);
            PyEval_SaveThread();
        }
        stopping = naps.take(stop_);
    }
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();  // lets the GIL go
}

}  // namespace gilpool::bindings
