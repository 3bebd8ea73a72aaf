// bindings/arguments.hpp: turns what a Python caller passed into C++ values, or raises naming the
// argument. GIL held.
#pragma once

#include <Python.h>

#include <chrono>
#include <optional>
#include <span>

#include "core/clock.hpp"

namespace gilpool::bindings {

/// What a function takes: `required` of its arguments must be given, the first `positional` of them
/// may be given by position.
struct Takes {
    const char* function;
    std::span<const char* const> names;
    std::size_t positional;
    std::size_t required;
};

/// Puts the arguments of a vectorcall where their names stand, borrowed; those that are absent stay
/// as they are. False with a TypeError set.
bool bind_arguments(const Takes& takes, PyObject* const* arguments, Py_ssize_t positional,
                    PyObject* keyword_names, PyObject** values);

/// A number, which may be infinite but not NaN (ValueError); TypeError unless an int or a float, or
/// what converts to one.
std::optional<double> number_argument(PyObject* value, const char* name);

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
