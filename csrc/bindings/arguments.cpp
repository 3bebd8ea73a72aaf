// bindings/arguments.cpp: checks of durations, timeouts and counts.
#include "bindings/arguments.hpp"

#include <algorithm>
#include <cmath>

namespace gilpool::bindings {

namespace {

/// Seconds in a century: that much can be added to any reading of the clock, and is as good as for
/// ever.
constexpr double kCentury = 100 * 365.25 * 86'400;

}  // namespace

bool bind_arguments(const Takes& takes, PyObject* const* arguments, Py_ssize_t positional,
                    PyObject* keyword_names, PyObject** values) {
    if (positional > static_cast<Py_ssize_t>(takes.positional)) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zu positional arguments (%zd given)",
                     takes.function, takes.positional, positional);
        return false;
    }
    std::copy_n(arguments, positional, values);
    const Py_ssize_t keywords = keyword_names != nullptr ? PyTuple_GET_SIZE(keyword_names) : 0;
    for (Py_ssize_t i = 0; i < keywords; ++i) {
        PyObject* const keyword = PyTuple_GET_ITEM(keyword_names, i);
        const auto found =
            std::find_if(takes.names.begin(), takes.names.end(), [keyword](const char* name) {
                return PyUnicode_CompareWithASCIIString(keyword, name) == 0;
            });
        const auto place = found - takes.names.begin();
        if (found == takes.names.end()) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'",
                         takes.function, keyword);
            return false;
        }
        if (place < positional) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'",
                         takes.function, keyword);
            return false;
        }
        values[place] = arguments[positional + i];
    }
    for (std::size_t i = 0; i < takes.required; ++i) {
        if (values[i] == nullptr) {
            PyErr_Format(PyExc_TypeError, "%s() is missing its argument '%s'", takes.function,
                         takes.names[i]);
            return false;
        }
    }
    return true;
}

std::optional<double> number_argument(PyObject* value, const char* name) {
    if (!PyFloat_Check(value) && !PyIndex_Check(value) &&
        (Py_TYPE(value)->tp_as_number == nullptr ||
         Py_TYPE(value)->tp_as_number->nb_float == nullptr)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int or a float, not %.200s", name,
                     Py_TYPE(value)->tp_name);
        return std::nullopt;
    }
    const double number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred() != nullptr) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Format(PyExc_ValueError, "%s is too large", name);
        }
        return std::nullopt;
    }
    if (std::isnan(number)) {
        PyErr_Format(PyExc_ValueError, "%s must not be NaN", name);
        return std::nullopt;
    }
    return number;
}

std::optional<std::chrono::nanoseconds> duration_argument(PyObject* value, const char* name,
                                                          double unit_seconds) {
    const std::optional<double> number = number_argument(value, name);
    if (!number) {
        return std::nullopt;
    }
    if (std::isinf(*number)) {
        PyErr_Format(PyExc_ValueError, "%s must be finite", name);
        return std::nullopt;
    }
    if (*number < 0) {
        PyErr_Format(PyExc_ValueError, "%s must not be negative", name);
        return std::nullopt;
    }
    if (*number * unit_seconds > kCentury) {
        PyErr_Format(PyExc_ValueError, "%s is too large", name);
        return std::nullopt;
    }
    return std::chrono::nanoseconds(std::llround(*number * unit_seconds * 1e9));
}

std::optional<core::TimePoint> timeout_argument(PyObject* value, const char* name) {
    if (value == nullptr || value == Py_None) {
        return core::kNever;
    }
    const std::optional<double> seconds = number_argument(value, name);
    if (!seconds) {
        return std::nullopt;
    }
    if (*seconds > kCentury) {
        return core::kNever;
    }
    const auto delay = std::chrono::duration<double>(*seconds < 0 ? 0 : *seconds);
    return core::deadline_after(core::monotonic_now(),
                                std::chrono::duration_cast<core::Duration>(delay));
}

std::optional<Py_ssize_t> optional_count_argument(PyObject* value, const char* name) {
    if (value == nullptr || value == Py_None) {
        return -1;
    }
    if (!PyIndex_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an int or None, not %.200s", name,
                     Py_TYPE(value)->tp_name);
        return std::nullopt;
    }
    const Py_ssize_t count = PyNumber_AsSsize_t(value, nullptr);
    if (count == -1 && PyErr_Occurred() != nullptr) {
        return std::nullopt;
    }
    if (count < 0) {
        PyErr_Format(PyExc_ValueError, "%s must not be negative", name);
        return std::nullopt;
    }
    return count;
}

}  // namespace gilpool::bindings
