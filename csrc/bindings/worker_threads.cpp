// bindings/worker_threads.cpp: calls into gilpool._threads and pools' initializers.
#include "bindings/worker_threads.hpp"

#include <Python.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "bindings/compat.hpp"
#include "bindings/crew.hpp"
#include "bindings/errors.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_kill.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

/// What follow_thread_hooks() saw last on this thread; compared, never dereferenced.
struct SeenHooks {
    PyObject* trace = Py_None;
    PyObject* profile = Py_None;
};

thread_local SeenHooks t_seen_hooks;
/// A worker of a pool with an initializer serves that pool only.
constinit thread_local bool t_is_initialized = false;
constinit thread_local const PoolObject* t_initializes_for = nullptr;
std::atomic<unsigned> g_shared_workers{0};

/// Calls a function of gilpool._threads with a str (null: none); what it raises is reported, for a
/// worker must go on.
void call_helper(const char* name, const char* argument = nullptr) {
    static PyObject* module = nullptr;  // kept for good, like the modules themselves
    if (module == nullptr) {
        module = PyImport_ImportModule("gilpool._threads");
    }
    PyObject* result = nullptr;
    if (module != nullptr) {
        result = argument != nullptr ? PyObject_CallMethod(module, name, "s", argument)
                                     : PyObject_CallMethod(module, name, nullptr);
    }
    if (result == nullptr) {
        PyErr_WriteUnraisable(module);
    }
    Py_XDECREF(result);
}

/// threading's dict, or null while it cannot be had.
PyObject* threading_dict() {
    static PyObject* module = nullptr;  // kept for good, like the modules themselves
    if (module == nullptr) {
        module = PyImport_ImportModule("threading");
        if (module == nullptr) {
            PyErr_Clear();
            return nullptr;
        }
    }
    return PyModule_GetDict(module);
}

/// A borrowed value of threading's dict; None when it has no such name.
PyObject* look_up(PyObject* dict, PyObject* name) {
    PyObject* const value = name != nullptr ? PyDict_GetItemWithError(dict, name) : nullptr;
    if (value == nullptr) {
        PyErr_Clear();
        return Py_None;
    }
    return value;
}

}  // namespace

void register_worker_thread() {
    Crew* const crew = own_crew();
    const std::string name = crew != nullptr
                                 ? crew->next_thread_name()
                                 : "gilpool-" + std::to_string(g_shared_workers.fetch_add(1) + 1);
    call_helper("register", name.c_str());
}

void unregister_worker_thread() {
    call_helper("unregister");
}

void follow_thread_hooks() {
    static PyObject* const trace_name = PyUnicode_InternFromString("_trace_hook");
    static PyObject* const profile_name = PyUnicode_InternFromString("_profile_hook");
    PyObject* const dict = threading_dict();
    if (dict == nullptr) {
        return;
    }
    PyObject* const trace = look_up(dict, trace_name);
    PyObject* const profile = look_up(dict, profile_name);
    if (trace == t_seen_hooks.trace && profile == t_seen_hooks.profile) {
        return;
    }
    t_seen_hooks = {trace, profile};
    call_helper("follow_hooks");
}

bool initialize_worker(PoolObject* pool) {
    if (t_is_initialized) {
        return true;
    }
    if (pool->broken) {
        PyErr_Format(PyExc_RuntimeError, "the initializer of %R failed", as_object(pool));
        return false;
    }
    // The task may be discarded meanwhile, and the pool with its initializer dropped.
    Py_INCREF(as_object(pool));
    PyObject* const initializer = Py_NewRef(pool->initializer);
    PyObject* const arguments = Py_NewRef(pool->initializer_args);
    t_initializes_for = pool;
    const std::uint32_t kills_before = kills_delivered();
    PyObject* const result = PyObject_Call(initializer, arguments, nullptr);
    t_initializes_for = nullptr;
    t_is_initialized = result != nullptr;
    // A task that is killed meanwhile says nothing about the initializer.
    if (result == nullptr && !was_killed_since(kills_before) &&
        PyErr_ExceptionMatches(error_types.task_exit) == 0) {
        pool->broken = true;
    }
    PyObject* const raised = result == nullptr ? take_raised_exception() : nullptr;
    Py_XDECREF(result);
    Py_DECREF(initializer);
    Py_DECREF(arguments);
    Py_DECREF(as_object(pool));
    if (raised != nullptr) {
        raise_exception(raised);
    }
    return t_is_initialized;
}

bool is_initializing() {
    return t_initializes_for != nullptr;
}

bool initializer_may_not_wait(const PoolObject* pool) {
    if (pool == nullptr || pool != t_initializes_for) {
        return false;
    }
    PyErr_SetString(PyExc_RuntimeError,
                    "a pool's initializer cannot wait for a task or a slot of the pool: the worker "
                    "that runs the task has to be initialized first");
    return true;
}

}  // namespace gilpool::bindings
