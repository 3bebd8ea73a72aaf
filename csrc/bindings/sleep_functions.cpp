// bindings/sleep_functions.cpp: one sleep that holds the GIL, and one that lets it go.
#include "bindings/sleep_functions.hpp"

#include <algorithm>

#include "bindings/arguments.hpp"
#include "bindings/compat.hpp"
#include "bindings/gil.hpp"
#include "bindings/waiting.hpp"
#include "kernels/sleep.hpp"

namespace gilpool::bindings {

namespace {

constexpr double kMillisecond = 1e-3;

/// Sleeps with the GIL held. Only the main thread looks for signals; false with an exception set.
bool sleep_holding(core::TimePoint deadline) {
    const bool sees_signals = is_main_thread();
    while (true) {
        const core::TimePoint until =
            sees_signals ? std::min(deadline, core::monotonic_now() + kSignalSlice) : deadline;
        const bool completed = kernels::sleep_until(until);
        if (sees_signals && PyErr_CheckSignals() != 0) {
            return false;
        }
        if (completed && until == deadline) {
            return true;
        }
    }
}

/// Sleeps with the GIL released; false with an exception set.
bool sleep_letting_go(core::TimePoint deadline) {
    return sleep_released(deadline) != WaitOutcome::raised;
}

/// Parses the one argument and sleeps.
PyObject* sleep_for(PyObject* args, PyObject* kwargs, const char* format,
                    bool (*sleep)(core::TimePoint)) {
    static const char* names[] = {"ms", nullptr};
    PyObject* value = nullptr;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, format, const_cast<char**>(names), &value) == 0) {
        return nullptr;
    }
    const auto duration = duration_argument(value, names[0], kMillisecond);
    if (!duration || !sleep(core::monotonic_now() + *duration)) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* sleep_gil(PyObject*, PyObject* args, PyObject* kwargs) {
    return sleep_for(args, kwargs, "O:sleep_gil", &sleep_holding);
}

PyObject* sleep_nogil(PyObject*, PyObject* args, PyObject* kwargs) {
    return sleep_for(args, kwargs, "O:sleep_nogil", &sleep_letting_go);
}

PyDoc_STRVAR(
    sleep_gil_doc,
    "sleep_gil($module, /, ms)\n--\n\n"
    "Sleep `ms` milliseconds in C while holding the GIL: no other Python thread can run.\n\n"
    "The half of the experiment that a well-behaved C function should not be. In the main\n"
    "thread Ctrl-C ends it within 50 ms. Nothing can interrupt a main thread that merely waits\n"
    "for the GIL while *another* thread sleeps here: Python runs signal handlers only with it.\n\n"
    "    >>> import gilpool\n"
    "    >>> gilpool.sleep_gil(1)\n\n"
    "GIL: held throughout. Thread safety: any thread.\n"
    "Raises TypeError or ValueError for what is no length of time.");
PyDoc_STRVAR(
    sleep_nogil_doc,
    "sleep_nogil($module, /, ms)\n--\n\n"
    "Sleep `ms` milliseconds in C with the GIL released: other Python threads run meanwhile.\n\n"
    "In the main thread Ctrl-C ends it within 50 ms of the GIL being obtainable.\n\n"
    "    >>> import gilpool\n"
    "    >>> gilpool.sleep_nogil(1)\n\n"
    "GIL: released while asleep. Thread safety: any thread.\n"
    "Raises TypeError or ValueError for what is no length of time.");
PyMethodDef sleep_functions[] = {
    {"sleep_gil", keyword_method(sleep_gil), METH_VARARGS | METH_KEYWORDS, sleep_gil_doc},
    {"sleep_nogil", keyword_method(sleep_nogil), METH_VARARGS | METH_KEYWORDS, sleep_nogil_doc},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

int add_sleep_functions(PyObject* module) {
    return PyModule_AddFunctions(module, sleep_functions);
}

}  // namespace gilpool::bindings
