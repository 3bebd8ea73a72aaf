// bindings/kernel_arguments.cpp: checks of what kernels are given; every error names the argument.
#include "bindings/kernel_arguments.hpp"

#include <bit>
#include <cstring>

#include "bindings/arguments.hpp"

namespace gilpool::bindings {

namespace {

bool raise_not_a_buffer(PyObject* value, const char* name) {
    PyErr_Format(PyExc_TypeError, "%s must be a bytes-like object, not %.200s", name,
                 Py_TYPE(value)->tp_name);
    return false;
}

/// Gets the view, with one kind of error for what is not contiguous, whatever the exporter says.
bool get_view(PyObject* value, const char* name, int flags, Py_buffer* view) {
    if (PyObject_CheckBuffer(value) == 0) {
        return raise_not_a_buffer(value, name);
    }
    if (PyObject_GetBuffer(value, view, flags) == 0) {
        return true;
    }
    view->obj = nullptr;
    if (PyErr_ExceptionMatches(PyExc_BufferError) || PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Format(PyExc_BufferError, "%s must be C-contiguous%s", name,
                     (flags & PyBUF_WRITABLE) == PyBUF_WRITABLE ? " and writable" : "");
    }
    return false;
}

constexpr char kNativeOrder = std::endian::native == std::endian::little ? '<' : '>';

}  // namespace

bool HeldBuffer::hold_bytes(PyObject* value, const char* name) {
    return get_view(value, name, PyBUF_SIMPLE, &view_);
}

bool HeldBuffer::hold_items(PyObject* value, const char* name, bool writable, int dimensions) {
    constexpr int kItems = PyBUF_FORMAT | PyBUF_C_CONTIGUOUS;
    if (!get_view(value, name, kItems, &view_)) {
        return false;
    }
    if (writable && view_.readonly != 0) {
        PyErr_Format(PyExc_TypeError, "%s must be writable", name);
        return false;
    }
    if (view_.ndim != dimensions) {
        PyErr_Format(PyExc_ValueError, "%s must have %d dimension%s, not %d", name, dimensions,
                     dimensions == 1 ? "" : "s", view_.ndim);
        return false;
    }
    return true;
}

bool HeldBuffer::check_alignment(const char* name, std::size_t alignment) const {
    // An array of numpy may begin anywhere; kernels read numbers where their type wants them. Where
    // an empty one begins says nothing.
    if (view_.len == 0 || reinterpret_cast<std::uintptr_t>(view_.buf) % alignment == 0) {
        return true;
    }
    PyErr_Format(PyExc_ValueError, "%s must be aligned in memory", name);
    return false;
}

char HeldBuffer::kind() const {
    const char* format = view_.format != nullptr ? view_.format : "B";
    if (*format == '@' || *format == '=' || *format == kNativeOrder) {
        ++format;
    }
    if (*format == '\0' || format[1] != '\0') {
        return 0;
    }
    if (std::strchr("bhilqn", *format) != nullptr) {
        return 'i';
    }
    if (std::strchr("BHILQN", *format) != nullptr) {
        return 'u';
    }
    return std::strchr("efd", *format) != nullptr ? 'f' : '\0';
}

bool raise_wrong_items(const char* name, char kind, std::size_t item_bytes) {
    const char* const word = kind == 'f' ? "float" : kind == 'i' ? "int" : "uint";
    PyErr_Format(PyExc_TypeError, "%s must be a buffer of %s%zu", name, word, item_bytes * 8);
    return false;
}

bool raise_wrong_shape(const char* name, const kernels::Shape& shape, int dimensions) {
    if (dimensions == 1) {
        PyErr_Format(PyExc_ValueError, "%s must have %zu items", name, shape.columns);
    } else {
        PyErr_Format(PyExc_ValueError, "%s must have the shape (%zu, %zu)", name, shape.rows,
                     shape.columns);
    }
    return false;
}

bool index_argument(PyObject* value, const char* name, std::int64_t* number) {
    PyObject* const index = PyIndex_Check(value) != 0 ? PyNumber_Index(value) : nullptr;
    if (index == nullptr) {
        if (PyErr_Occurred() == nullptr) {
            PyErr_Format(PyExc_TypeError, "%s must be an int, not %.200s", name,
                         Py_TYPE(value)->tp_name);
        }
        return false;
    }
    int overflow = 0;
    *number = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (overflow != 0) {
        PyErr_Format(PyExc_OverflowError, "%s is too %s", name, overflow > 0 ? "large" : "small");
        return false;
    }
    return true;
}

bool index_argument(PyObject* value, const char* name, std::uint64_t* number) {
    std::int64_t with_sign = 0;
    const bool fits = index_argument(value, name, &with_sign);
    if (!fits && PyErr_Occurred() != nullptr && PyErr_ExceptionMatches(PyExc_OverflowError)) {
        // Above the signed range the upper half is still fine; below, it is negative all the same.
        PyErr_Clear();
        PyObject* const index = PyNumber_Index(value);
        *number = index != nullptr ? PyLong_AsUnsignedLongLong(index) : 0;
        PyObject* const zero = PyLong_FromLong(0);
        const int negative =
            index != nullptr && zero != nullptr ? PyObject_RichCompareBool(index, zero, Py_LT) : -1;
        Py_XDECREF(zero);
        Py_XDECREF(index);
        if (negative == 0 && PyErr_Occurred() == nullptr) {
            return true;
        }
        PyErr_Clear();
        if (negative == 1) {
            PyErr_Format(PyExc_ValueError, "%s must not be negative", name);
        } else {
            PyErr_Format(PyExc_OverflowError, "%s is too large", name);
        }
        return false;
    }
    if (fits && with_sign < 0) {
        PyErr_Format(PyExc_ValueError, "%s must not be negative", name);
        return false;
    }
    *number = static_cast<std::uint64_t>(with_sign);
    return fits;
}

bool float_argument(PyObject* value, const char* name, double* number) {
    const std::optional<double> converted = number_argument(value, name);
    *number = converted.value_or(0);
    return converted.has_value();
}

bool HeldText::hold(PyObject* value, const char* name, bool allow_bytes) {
    if (PyUnicode_Check(value) != 0) {
        Py_ssize_t size = 0;
        const char* const utf8 = PyUnicode_AsUTF8AndSize(value, &size);
        if (utf8 == nullptr) {
            return false;
        }
        if (allow_bytes && size != PyUnicode_GET_LENGTH(value)) {
            // Which bytes it should stand for is the caller's to say.
            PyErr_Format(PyExc_ValueError,
                         "%s must be ASCII if it is a str; pass other text as bytes", name);
            return false;
        }
        text_ = {utf8, static_cast<std::size_t>(size)};
    } else if (allow_bytes && PyBytes_Check(value) != 0) {
        text_ = {PyBytes_AS_STRING(value), static_cast<std::size_t>(PyBytes_GET_SIZE(value))};
    } else {
        PyErr_Format(PyExc_TypeError, "%s must be a str%s, not %.200s", name,
                     allow_bytes ? " or bytes" : "", Py_TYPE(value)->tp_name);
        return false;
    }
    owner_ = Py_NewRef(value);
    return true;
}

bool path_argument(PyObject* value, const char* name, kernels::Path* path) {
    PyObject* const fs_path = PyOS_FSPath(value);
    if (fs_path == nullptr) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError,
                         "%s must be a str, bytes or os.PathLike object, not %.200s", name,
                         Py_TYPE(value)->tp_name);
        }
        return false;
    }
    PyObject* const native =
        PyUnicode_Check(fs_path) != 0 ? PyUnicode_EncodeFSDefault(fs_path) : Py_NewRef(fs_path);
    Py_DECREF(fs_path);
    if (native == nullptr) {
        return false;
    }
    path->native.assign(PyBytes_AS_STRING(native),
                        static_cast<std::size_t>(PyBytes_GET_SIZE(native)));
    Py_DECREF(native);
    if (path->native.find('\0') != std::string::npos) {
        PyErr_Format(PyExc_ValueError, "%s contains an embedded null byte", name);
        return false;
    }
    return true;
}

}  // namespace gilpool::bindings
