// bindings/arguments.hpp: turns what a Python caller passed into C++ values, or raises naming the
// argument. GIL held.
#pragma once

#include <Python.h>

#include <chrono>
#include <optional>

#include "core/clock.hpp"

namespace gilpool::bindings {

/// A length of time, `unit_seconds` to the unit. TypeError unless an int or a float (or what
/// converts to one), ValueError when negative, NaN, infinite or beyond the clock.
std::optional<std::chrono::nanoseconds> duration_argument(PyObject* value, const char* name,
                                                          double unit_seconds);

/// A timeout in seconds from now: None and +inf never run out, negative has run out already.
/// TypeError or ValueError (NaN) otherwise.
std::optional<core::TimePoint> timeout_argument(PyObject* value, const char* name);

/// A count that is None (-1) or a non-negative int; TypeError or ValueError otherwise.
std::optional<Py_ssize_t> optional_count_argument(PyObject* value, const char* name);

}  // namespace gilpool::bindings
