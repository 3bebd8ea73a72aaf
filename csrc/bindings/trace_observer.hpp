// bindings/trace_observer.hpp: the native thread that observes while a trace is being recorded.
// GIL held by who calls any of this.
//
// The observer never takes the GIL. About once a millisecond it empties the rings, looks which of
// the threads that are in a task hold the GIL, and reads the counters. It is joined before a fork
// and started again by the next task.
#pragma once

#include <cstdint>
#include <vector>

#include "core/clock.hpp"

namespace gilpool::bindings {

/// What this interpreter and this system let the observer see.
struct TraceSight {
    bool gil = false;      ///< who holds the GIL
    bool waiters = false;  ///< which thread waits for it
};

/// Looks once and starts the thread; false if there is none to be had.
bool start_observer(core::TimePoint begin, TraceSight sight);

/// Starts it again if a fork has ended it.
void see_to_observer();

/// Ends the thread: at the end of the trace, or before a fork.
void pause_observer();

/// After that, at the end of the trace: returns when it has looked.
std::vector<std::int64_t> look_for_the_last_time(core::TimePoint end);

/// In a forked child.
void forget_observer();

}  // namespace gilpool::bindings
