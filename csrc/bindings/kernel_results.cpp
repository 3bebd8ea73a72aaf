// bindings/kernel_results.cpp: from a kernel's error to an exception.
#include "bindings/kernel_results.hpp"

#include <cerrno>
#include <cstring>

#include "bindings/errors.hpp"
#include "bindings/gil.hpp"
#include "kernels/huge_pages.hpp"

namespace gilpool::bindings {

namespace {

/// OSError(errno, text, path), which makes FileNotFoundError and its like by itself.
PyObject* raise_os_error(const kernels::Error& error) {
    PyObject* const path = PyUnicode_DecodeFSDefaultAndSize(
        error.message.data(), static_cast<Py_ssize_t>(error.message.size()));
    if (path != nullptr) {
        errno = error.number;
        PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
        Py_DECREF(path);
    }
    return nullptr;
}

/// binascii.Error, a ValueError: what the decoders of the standard library raise.
PyObject* raise_malformed(const kernels::Error& error) {
    PyObject* const binascii = PyImport_ImportModule("binascii");
    PyObject* const type =
        binascii != nullptr ? PyObject_GetAttrString(binascii, "Error") : nullptr;
    if (type != nullptr) {
        PyErr_SetString(type, error.message.c_str());
    }
    Py_XDECREF(type);
    Py_XDECREF(binascii);
    return nullptr;
}

/// Below this the copy is over before anybody could have taken the GIL.
constexpr std::size_t kCopyHolding = 256 * 1024;

/// Where os.stat_result keeps its fields: the order of those without a place of their own in the
/// tuple differs between versions and systems.
class StatResult {
  public:
    /// Null with an exception set if there is no os.stat_result.
    static const StatResult* get() {
        static StatResult* known = nullptr;
        if (known == nullptr) {
            auto* const fresh = new StatResult;
            if (!fresh->find_places()) {
                delete fresh;
                return nullptr;
            }
            known = fresh;
        }
        return known;
    }

    PyObject* make(const kernels::FileStatus& status) const {
        constexpr double kNanosecond = 1e-9;
        PyObject* const result = PyStructSequence_New(type_);
        if (result == nullptr) {
            return nullptr;
        }
        const std::uint64_t first[] = {status.mode,  status.inode, status.device,
                                       status.links, status.user,  status.group};
        Py_ssize_t place = 0;
        for (const std::uint64_t number : first) {
            set(result, place++, PyLong_FromUnsignedLongLong(number));
        }
        set(result, place++, PyLong_FromLongLong(status.size));
        const std::int64_t times[] = {status.accessed_ns, status.modified_ns, status.changed_ns};
        for (int i = 0; i < 3; ++i) {
            std::int64_t seconds = times[i] / 1'000'000'000;
            seconds -= times[i] % 1'000'000'000 < 0 ? 1 : 0;
            set(result, place++, PyLong_FromLongLong(seconds));
            const auto fraction = static_cast<double>(times[i] - seconds * 1'000'000'000);
            set(result, places_[i],
                PyFloat_FromDouble(static_cast<double>(seconds) + kNanosecond * fraction));
            set(result, places_[3 + i], PyLong_FromLongLong(times[i]));
        }
        set(result, places_[6], PyLong_FromLongLong(status.block_size));
        set(result, places_[7], PyLong_FromLongLong(status.blocks));
        set(result, places_[8], PyLong_FromUnsignedLongLong(status.special_device));
        for (Py_ssize_t i = 0; i < fields_; ++i) {
            if (PyStructSequence_GetItem(result, i) == nullptr) {
                set(result, i, Py_NewRef(Py_None));
            }
        }
        if (PyErr_Occurred() != nullptr) {
            Py_DECREF(result);
            return nullptr;
        }
        return result;
    }

  private:
    static constexpr int kNamed = 9;
    static constexpr const char* kNames[kNamed] = {"st_atime",    "st_mtime",    "st_ctime",
                                                   "st_atime_ns", "st_mtime_ns", "st_ctime_ns",
                                                   "st_blksize",  "st_blocks",   "st_rdev"};

    void set(PyObject* result, Py_ssize_t place, PyObject* value) const {
        if (place >= 0 && value != nullptr) {
            PyStructSequence_SetItem(result, place, value);
        } else {
            Py_XDECREF(value);
        }
    }

    /// Finds each name's place by making a result whose fields are their own names.
    bool find_places() {
        PyObject* const os = PyImport_ImportModule("os");
        PyObject* const type = os != nullptr ? PyObject_GetAttrString(os, "stat_result") : nullptr;
        Py_XDECREF(os);
        PyObject* const named = PyDict_New();
        for (const char* const name : kNames) {
            PyObject* const text = PyUnicode_InternFromString(name);
            if (named != nullptr && text != nullptr) {
                PyDict_SetItem(named, text, text);
            }
            Py_XDECREF(text);
        }
        PyObject* const probe =
            type != nullptr && named != nullptr
                ? PyObject_CallFunction(type, "(iiiiiiiiii)O", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, named)
                : nullptr;
        Py_XDECREF(named);
        if (probe == nullptr) {
            Py_XDECREF(type);
            return false;
        }
        type_ = reinterpret_cast<PyTypeObject*>(type);
        PyObject* const count = PyObject_GetAttrString(probe, "n_fields");
        fields_ = count != nullptr ? PyLong_AsSsize_t(count) : 0;
        Py_XDECREF(count);
        for (Py_ssize_t i = 0; i < fields_; ++i) {
            PyObject* const field = PyStructSequence_GetItem(probe, i);
            for (int j = 0; field != nullptr && PyUnicode_Check(field) != 0 && j < kNamed; ++j) {
                if (PyUnicode_CompareWithASCIIString(field, kNames[j]) == 0) {
                    places_[j] = i;
                }
            }
        }
        Py_DECREF(probe);
        return PyErr_Occurred() == nullptr;
    }

    PyTypeObject* type_ = nullptr;
    Py_ssize_t fields_ = 0;
    Py_ssize_t places_[kNamed] = {-1, -1, -1, -1, -1, -1, -1, -1, -1};
};

}  // namespace

PyObject* to_python(const kernels::Bytes& bytes) {
    return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(bytes.data()),
                                     static_cast<Py_ssize_t>(bytes.size()));
}

PyObject* to_python_released(const kernels::Bytes& bytes) {
    if (bytes.size() < kCopyHolding) {
        return to_python(bytes);
    }
    PyObject* const copy =
        PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(bytes.size()));
    if (copy != nullptr) {
        kernels::ask_for_huge_pages(PyBytes_AS_STRING(copy), bytes.size());
        const Released released;  // nobody else knows the new object yet
        std::memcpy(PyBytes_AS_STRING(copy), bytes.data(), bytes.size());
    }
    return copy;
}

PyObject* to_python(const kernels::Digest& digest) {
    return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(digest.storage.data()),
                                     static_cast<Py_ssize_t>(digest.size));
}

PyObject* to_python(const kernels::FileStatus& status) {
    const StatResult* const maker = StatResult::get();
    return maker != nullptr ? maker->make(status) : nullptr;
}

PyObject* to_python(const Matches& matches) {
    const auto count = static_cast<Py_ssize_t>(matches.bounds.size() / 2);
    PyObject* const list = PyList_New(count);
    for (Py_ssize_t i = 0; list != nullptr && i < count; ++i) {
        const auto at = static_cast<std::size_t>(2 * i);
        PyObject* const pair = PyTuple_New(2);
        PyObject* const start = PyLong_FromLongLong(matches.bounds[at]);
        PyObject* const end = PyLong_FromLongLong(matches.bounds[at + 1]);
        if (pair == nullptr || start == nullptr || end == nullptr) {
            Py_XDECREF(end);
            Py_XDECREF(start);
            Py_XDECREF(pair);
            Py_DECREF(list);
            return nullptr;
        }
        PyTuple_SET_ITEM(pair, 0, start);
        PyTuple_SET_ITEM(pair, 1, end);
        // Numbers make no cycles: the collector, which so many new objects call, need not see them.
        PyObject_GC_UnTrack(pair);
        PyList_SET_ITEM(list, i, pair);
    }
    return list;
}

PyObject* raise_kernel_error(const kernels::Error& error) {
    switch (error.kind) {
        case kernels::ErrorKind::stopped:
            PyErr_SetString(error_types.task_exit, "stopped");
            return nullptr;
        case kernels::ErrorKind::value:
            PyErr_SetString(PyExc_ValueError, error.message.c_str());
            return nullptr;
        case kernels::ErrorKind::malformed:
            return raise_malformed(error);
        case kernels::ErrorKind::overflow:
            PyErr_SetString(PyExc_OverflowError, error.message.c_str());
            return nullptr;
        case kernels::ErrorKind::os:
            return raise_os_error(error);
        case kernels::ErrorKind::memory:
            break;
    }
    return PyErr_NoMemory();
}

}  // namespace gilpool::bindings
