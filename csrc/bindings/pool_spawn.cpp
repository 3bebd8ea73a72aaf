// bindings/pool_spawn.cpp: spawn, spawn_many, slots that must be waited for, and the way back.
#include "bindings/pool_spawn.hpp"

#include "bindings/arguments.hpp"
#include "bindings/compat.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/task_run.hpp"
#include "bindings/task_type.hpp"
#include "bindings/waiting.hpp"

namespace gilpool::bindings {

namespace {

/// Waits, GIL released, for a free slot. A task of this very pool lends its own meanwhile, also to
/// the task it is about to spawn.
WaitOutcome wait_for_slot(PoolObject* pool, core::TimePoint deadline) {
    const TaskObject* const task = current_task();
    const Py_ssize_t own = task != nullptr && task->pool == pool ? 1 : 0;
    while (pool->size >= 0 && pool->tracked - pool->lent - own >= pool->size) {
        ListedWaiter waiter(pool->slot_waiters);
        const WaitOutcome outcome = waiter.wait_until(deadline);
        if (outcome != WaitOutcome::notified) {
            // This waiter may have been told of a slot that another one can use now.
            pool->slot_waiters.notify_one();
            return outcome;
        }
    }
    return WaitOutcome::notified;
}

/// A new task, queued; null with an exception set. Its slot is known to be free.
TaskObject* spawn(PoolObject* pool, PyObject* function, PyObject* const* arguments,
                  Py_ssize_t positional, PyObject* names) {
    TaskObject* const task = new_task(task_type, function, arguments, positional, names);
    if (task != nullptr && !start_task(pool, task)) {
        Py_DECREF(as_object(task));
        return nullptr;
    }
    return task;
}

PyObject* gather(PyObject*, PyObject* tasks) {
    if (PyList_Check(tasks) == 0) {
        PyErr_SetString(PyExc_TypeError, "tasks must be a list");
        return nullptr;
    }
    const Py_ssize_t count = PyList_GET_SIZE(tasks);
    PyObject* const results = PyList_New(count);
    for (Py_ssize_t i = 0; results != nullptr && i < count; ++i) {
        TaskObject* const task = as_task(PyList_GET_ITEM(tasks, i));
        PyObject* const result = task->state == TaskState::done && task->exception == nullptr
                                     ? Py_NewRef(task->value)
                                     : PyObject_CallMethod(as_object(task), "get", nullptr);
        if (result == nullptr) {
            Py_DECREF(results);
            return nullptr;
        }
        PyList_SET_ITEM(results, i, result);
    }
    return results;
}

PyMethodDef gather_functions[] = {
    {"_gather", gather, METH_O,
     "_gather(tasks, /)\n--\n\nThe tasks' results in order; the first error in that order raises."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PyObject* pool_spawn(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
    if (nargs == 0) {
        PyErr_SetString(PyExc_TypeError, "spawn() needs a function to call");
        return nullptr;
    }
    PoolObject* const pool = as_pool(self);
    if (is_full(pool) && wait_for_slot(pool, core::kNever) == WaitOutcome::raised) {
        return nullptr;
    }
    return as_object(spawn(pool, args[0], args + 1, nargs - 1, names));
}

PyObject* pool_spawn_many(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 2) {
        PyErr_Format(PyExc_TypeError,
                     "spawn_many() takes a function and an iterable, got %zd arguments", nargs);
        return nullptr;
    }
    PoolObject* const pool = as_pool(self);
    PyObject* const function = args[0];
    if (PyCallable_Check(function) == 0) {
        PyErr_Format(PyExc_TypeError, "function must be callable, not %.200s",
                     Py_TYPE(function)->tp_name);
        return nullptr;
    }
    PyObject* const iterator = PyObject_GetIter(args[1]);
    PyObject* const tasks = iterator != nullptr ? PyList_New(0) : nullptr;
    bool ok = tasks != nullptr;
    while (ok) {
        PyObject* const item = PyIter_Next(iterator);
        if (item == nullptr) {
            ok = PyErr_Occurred() == nullptr;
            break;
        }
        ok = !is_full(pool) || wait_for_slot(pool, core::kNever) != WaitOutcome::raised;
        TaskObject* const task = ok ? spawn(pool, function, &item, 1, nullptr) : nullptr;
        ok = task != nullptr && PyList_Append(tasks, as_object(task)) == 0;
        Py_XDECREF(as_object(task));
        Py_DECREF(item);
    }
    Py_XDECREF(iterator);
    if (!ok) {
        Py_XDECREF(tasks);
        return nullptr;
    }
    return tasks;
}

PyObject* pool_start(PyObject* self, PyObject* args) {
    PyObject* argument = nullptr;
    PyObject* timeout = nullptr;
    if (PyArg_ParseTuple(args, "O!O:_start", task_type, &argument, &timeout) == 0) {
        return nullptr;
    }
    const std::optional<core::TimePoint> deadline = timeout_argument(timeout, "timeout");
    if (!deadline) {
        return nullptr;
    }
    const WaitOutcome outcome = wait_for_slot(as_pool(self), *deadline);
    if (outcome == WaitOutcome::raised) {
        return nullptr;
    }
    TaskObject* const task = as_task(argument);
    if (outcome == WaitOutcome::notified && task->state == TaskState::fresh &&
        !start_task(as_pool(self), task)) {
        return nullptr;
    }
    return PyBool_FromLong(outcome == WaitOutcome::notified);
}

PyObject* pool_take_slot(PyObject* self, PyObject* timeout) {
    const std::optional<core::TimePoint> deadline = timeout_argument(timeout, "timeout");
    if (!deadline) {
        return nullptr;
    }
    const WaitOutcome outcome = wait_for_slot(as_pool(self), *deadline);
    if (outcome == WaitOutcome::raised) {
        return nullptr;
    }
    if (outcome == WaitOutcome::notified) {
        take_slot(as_pool(self));
    }
    return PyBool_FromLong(outcome == WaitOutcome::notified);
}

int add_gather(PyObject* module) {
    return PyModule_AddFunctions(module, gather_functions);
}

}  // namespace gilpool::bindings
