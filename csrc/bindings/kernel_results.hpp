// bindings/kernel_results.hpp: how what a kernel returns, or why it could not, becomes Python's.
// GIL held.
//
// To teach the binding a new type, overload to_python for it.
#pragma once

#include <Python.h>

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/bytes.hpp"
#include "kernels/files.hpp"
#include "kernels/hash.hpp"
#include "kernels/result.hpp"

namespace gilpool::bindings {

inline PyObject* to_python(kernels::Done) {
    return Py_NewRef(Py_None);
}

template <class T>
    requires std::is_arithmetic_v<T>
PyObject* to_python(T number) {
    if constexpr (std::is_same_v<T, bool>) {
        return PyBool_FromLong(number);
    } else if constexpr (std::is_floating_point_v<T>) {
        return PyFloat_FromDouble(number);
    } else if constexpr (std::is_signed_v<T>) {
        return PyLong_FromLongLong(number);
    } else {
        return PyLong_FromUnsignedLongLong(number);
    }
}

inline PyObject* to_python(const std::string& text) {
    return PyUnicode_FromStringAndSize(text.data(), static_cast<Py_ssize_t>(text.size()));
}

PyObject* to_python(const kernels::Bytes& bytes);

/// The same, copied with the GIL released if that takes a while.
PyObject* to_python_released(const kernels::Bytes& bytes);

PyObject* to_python(const kernels::Digest& digest);

/// An os.stat_result.
PyObject* to_python(const kernels::FileStatus& status);

/// Where a pattern matched.
struct Matches {
    std::vector<std::int64_t> bounds;  ///< start, end, start, end ...
};

/// A list of (start, end).
PyObject* to_python(const Matches& matches);

inline PyObject* to_python(const std::vector<std::int64_t>& numbers) {
    PyObject* const list = PyList_New(static_cast<Py_ssize_t>(numbers.size()));
    for (std::size_t i = 0; list != nullptr && i < numbers.size(); ++i) {
        PyObject* const number = PyLong_FromLongLong(numbers[i]);
        if (number == nullptr) {
            Py_DECREF(list);
            return nullptr;
        }
        PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), number);
    }
    return list;
}

/// to_python(value), which keeps the GIL if it must.
template <class Value>
PyObject* convert(const Value& value, bool keep_gil) {
    if constexpr (std::is_same_v<Value, kernels::Bytes>) {
        return keep_gil ? to_python(value) : to_python_released(value);
    } else {
        return to_python(value);
    }
}

/// Raises the builtin exception that says the same; null.
PyObject* raise_kernel_error(const kernels::Error& error);

}  // namespace gilpool::bindings
