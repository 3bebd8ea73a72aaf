// bindings/hog_watch.cpp: the watching thread, and how it gets the GIL moving again.
#include "bindings/hog_watch.hpp"

#include <chrono>

#include "bindings/gil_words.hpp"
#include "core/clock.hpp"

namespace gilpool::bindings {

namespace {

using namespace std::chrono_literals;

constexpr auto kLookEvery = 5ms;

/// A thread that has kept the GIL for so long, through many looks, does not mean to let it go.
constexpr auto kTooLong = 50ms;

}  // namespace

bool HogWatch::start(const PyThreadState* witness, unsigned long old_interval_us) {
    interpreter_ = PyInterpreterState_Get();
    measured_ = PyThreadState_Get();
    witness_ = witness;
    old_interval_us_ = old_interval_us;
    return thread_.start([](void* self) { static_cast<HogWatch*>(self)->watch(); }, this);
}

void HogWatch::stop() {
    if (thread_.running()) {
        stop_.release();
        thread_.join_letting_gil_go();
    }
}

void HogWatch::watch() {
    const PyThreadState* kept_by = nullptr;
    unsigned long kept_since_switch = 0;
    core::TimePoint kept_since;
    while (!stop_.try_acquire_for(kLookEvery)) {
        const PyThreadState* const holder = gil_holder();
        const unsigned long switches = gil_switches();
        const core::TimePoint now = core::monotonic_now();
        if (holder != kept_by || switches != kept_since_switch) {
            kept_by = holder;
            kept_since_switch = switches;
            kept_since = now;
        }
        const bool stranger = holder != nullptr && holder != measured_ && holder != witness_;
        if (stranger && now - kept_since >= kTooLong) {
            found_ = true;
            set_switch_interval_without_gil(old_interval_us_);
            ask_for_gil();
            return;
        }
    }
}

/// Those who wait already do so with the long interval; a new waiter is impatient, and each time
/// the GIL is let go one of the old ones is woken, in the end the measured thread.
void HogWatch::ask_for_gil() {
    PyThreadState* const state = PyThreadState_New(interpreter_);
    bool stopping = false;
    while (true) {
        PyEval_RestoreThread(state);
        if (stopping) {
            break;
        }
        PyEval_SaveThread();
        stopping = stop_.try_acquire_for(kLookEvery);
    }
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();  // lets the GIL go
}

}  // namespace gilpool::bindings
