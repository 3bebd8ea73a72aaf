// bindings/trace_session.hpp: one trace from its begin to its end, and the native thread that
// observes meanwhile. GIL held, but for note_lost_record().
//
// The observer never takes the GIL. About once a millisecond it empties the rings, looks which of
// the threads that are in a task hold the GIL, and reads the counters. It is joined before a fork
// and started again by the next task.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>

namespace gilpool::bindings {

class TraceNames;

/// Starts the observer if a trace is being recorded and a fork has ended it.
void see_to_observer();

/// The lowest number of a task in the present trace.
std::uint32_t first_trace_number();

TraceNames& trace_names();

/// A record could not even be counted by its thread.
void note_lost_record();

/// Before a fork: no thread of the trace exists.
void pause_observer();

/// In a forked child.
void forget_trace_session();

/// Adds _trace_start and _trace_stop to `module`.
void bind_trace(pybind11::module_& module);

}  // namespace gilpool::bindings
