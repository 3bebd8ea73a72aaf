// bindings/witness.cpp: the witness's loop, its start and its end.
#include "bindings/witness.hpp"

#include <chrono>

#include "bindings/gil.hpp"
#include "bindings/quiet_thread.hpp"

namespace gilpool::bindings {

namespace {

/// How long the witness stays away after a win. Without a pause it would be back before the woken
/// caller has taken the GIL, and starve it; with a regular one it could fall into step with the
/// calls.
constexpr std::chrono::microseconds kShortestNap{30};
constexpr std::chrono::microseconds kLongestNap{70};

/// How long stop() lets the GIL go at a time. Each time wakes a thread that waits for it, in the
/// end the witness.
constexpr std::chrono::milliseconds kStopSlice{20};

}  // namespace

bool Witness::start() {
    interpreter_ = PyInterpreterState_Get();
    stopping_.store(false, std::memory_order_relaxed);
    running_ = start_quiet_thread(&thread_, &Witness::enter_thread, this);
    if (running_) {
        ready_.acquire();  // the thread needs no GIL to get there
    }
    return running_;
}

void Witness::stop() {
    if (!running_) {
        return;
    }
    stopping_.store(true, std::memory_order_relaxed);
    bool done = false;
    while (!done) {
        const Released released;
        done = done_.try_acquire_for(kStopSlice);
    }
    pthread_join(thread_, nullptr);
    running_ = false;
}

// Taking the GIL may unwind this thread when the interpreter ends: no frame here is in the way.
void* Witness::enter_thread(void* self) {
    static_cast<Witness*>(self)->run();
    return nullptr;
}

void Witness::run() {
    PyThreadState* const state = PyThreadState_New(interpreter_);
    state_ = state;
    native_id_ = native_thread_id();
    ready_.release();
    Naps naps(kShortestNap, kLongestNap);
    while (true) {
        wants_gil_.store(true, std::memory_order_release);
        PyEval_RestoreThread(state);
        wants_gil_.store(false, std::memory_order_relaxed);
        const auto phase = static_cast<std::size_t>(phase_.load(std::memory_order_relaxed));
        wins_[phase].fetch_add(1, std::memory_order_relaxed);
        if (stopping_.load(std::memory_order_relaxed)) {
            break;
        }
        PyEval_SaveThread();
        do {
            naps.take();
        } while (paused_.load(std::memory_order_relaxed) &&
                 !stopping_.load(std::memory_order_relaxed));
    }
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();  // lets the GIL go
    done_.release();
}

}  // namespace gilpool::bindings
