// bindings/compat.hpp: every difference between CPython versions, in one place.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

/// Takes the raised exception (normalised, with its traceback) out of the thread state; a new
/// reference.
inline PyObject* take_raised_exception() {
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject* type = nullptr;
    PyObject* value = nullptr;
    PyObject* traceback = nullptr;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != nullptr) {
        PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/// Raises `exception`, whose reference it takes.
inline void raise_exception(PyObject* exception) {
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception)), exception);
    Py_DECREF(exception);
#endif
}

/// True while an exception set by PyThreadState_SetAsyncExc on the calling thread has not been
/// raised yet.
inline bool asynchronous_exception_is_pending() {
    return PyThreadState_Get()->async_exc != nullptr;
}

/// Whether the memory of a dropped object may be kept for the next one: not where the collector
/// knows every object by the memory it allocated.
#ifdef Py_GIL_DISABLED
inline constexpr bool kTaskStorageIsKept = false;
#else
inline constexpr bool kTaskStorageIsKept = true;
#endif

/// Whether there is a GIL and it is in use: on a free-threaded build the interpreter turns it on
/// for good when it loads the first module that needs it, unless the user forbade that (-X gil=0).
/// GIL held, as far as there is one. No API says so, and what Python has for it is private.
inline bool gil_is_enabled() {
#ifdef Py_GIL_DISABLED
    PyObject* const function = PySys_GetObject("_is_gil_enabled");  // borrowed
    PyObject* const answer = function != nullptr ? PyObject_CallNoArgs(function) : nullptr;
    const bool enabled = answer == Py_True;
    Py_XDECREF(answer);
    PyErr_Clear();
    return enabled;
#else
    return true;
#endif
}

/// True from the moment attaching a thread is no longer possible.
inline bool interpreter_is_finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
    return Py_IsFinalizing() != 0;
#else
    return _Py_IsFinalizing() != 0;
#endif
}

/// Reads, from any thread and without the GIL, whether `state` holds it now. The thread state must
/// stay alive meanwhile. The words read are the interpreter's own and not atomic to us: a result
/// may be stale by one change, which is all an observer can ask for. gil_words_are_readable() tells
/// whether it works.
inline bool holds_gil(PyThreadState* state) {
#if defined(Py_GIL_DISABLED) || (PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030E0000)
    constexpr int kAttached = 1;
    return *static_cast<volatile int*>(&state->state) == kAttached;
#elif PY_VERSION_HEX >= 0x030E0000
    return *static_cast<volatile int*>(&state->holds_gil) != 0;
#elif PY_VERSION_HEX >= 0x030C0000
    return const_cast<const volatile PyThreadState*>(state)->_status.active != 0;
#else
    return _PyThreadState_UncheckedGet() == state;  // runtime-global: the holder, whoever asks
#endif
}

/// Whether base64.b64decode reads what follows complete padding: since 3.15 and late releases of
/// 3.13 and 3.14, so the running interpreter is asked. GIL held.
inline bool base64_goes_on_after_padding() {
    PyObject* const binascii = PyImport_ImportModule("binascii");
    PyObject* const bytes = binascii != nullptr
                                ? PyObject_CallMethod(binascii, "a2b_base64", "s", "AA==AA==")
                                : nullptr;
    const bool goes_on = bytes != nullptr && PyObject_Size(bytes) > 1;
    Py_XDECREF(bytes);
    Py_XDECREF(binascii);
    PyErr_Clear();
    return goes_on;
}

/// The form in which a method table wants a function that takes keywords, or a vector of arguments.
inline PyCFunction keyword_method(PyCFunctionWithKeywords function) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}
template <typename Function>
PyCFunction fastcall_method(Function* function) {
    return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

}  // namespace gilpool::bindings
