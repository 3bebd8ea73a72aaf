// bindings/pool_spawn.cpp: spawn, spawn_many, slots that must be waited for, and the way back.
#include "bindings/pool_spawn.hpp"

#include "bindings/arguments.hpp"
#include "bindings/compat.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/task_timer.hpp"
#include "bindings/task_type.hpp"
#include "bindings/waiting.hpp"

namespace gilpool::bindings {

namespace {

/// Says that a slot which its waiter was told of stays free, so that another one can use it.
void pass_slot_on(PoolObject* pool) {
    pool->slot_waiters.notify_one();
}

/// Waits, GIL released, for a free slot. A task of this very pool lends its own meanwhile, also to
/// the task it is about to spawn. Whoever does not use the slot after all must pass it on.
WaitOutcome wait_for_slot(PoolObject* pool, core::TimePoint deadline) {
    if (!is_full(pool)) {
        return WaitOutcome::notified;
    }
    // Before a waiter is listed: it must not be told of its own slot, over and over.
    const bool lent = lend_own_slot();
    WaitOutcome outcome = WaitOutcome::notified;
    while (outcome == WaitOutcome::notified && is_full(pool)) {
        ListedWaiter waiter(pool->slot_waiters);
        outcome = waiter.wait_until(deadline);
    }
    if (lent) {
        take_own_slot_back();
    }
    if (outcome != WaitOutcome::notified) {
        pass_slot_on(pool);
    }
    return outcome;
}

bool check_callable(PyObject* function) {
    if (PyCallable_Check(function) != 0) {
        return true;
    }
    PyErr_Format(PyExc_TypeError, "function must be callable, not %.200s",
                 Py_TYPE(function)->tp_name);
    return false;
}

/// A new task, queued, once there is a slot; null with an exception set.
TaskObject* spawn(PoolObject* pool, PyObject* function, PyObject* const* arguments,
                  Py_ssize_t positional, PyObject* names) {
    if (is_full(pool) &&
        (!check_callable(function) || wait_for_slot(pool, core::kNever) == WaitOutcome::raised)) {
        return nullptr;
    }
    TaskObject* const task = new_task(task_type, function, arguments, positional, names);
    if (task != nullptr && start_task(pool, task)) {
        return task;
    }
    Py_XDECREF(as_object(task));
    pass_slot_on(pool);
    return nullptr;
}

PyObject* gather(PyObject*, PyObject* tasks) {
    if (PyList_Check(tasks) == 0) {
        PyErr_SetString(PyExc_TypeError, "tasks must be a list");
        return nullptr;
    }
    const Py_ssize_t count = PyList_GET_SIZE(tasks);
    PyObject* const results = PyList_New(count);
    for (Py_ssize_t i = 0; results != nullptr && i < count; ++i) {
        PyObject* const item = PyList_GET_ITEM(tasks, i);
        if (!PyObject_TypeCheck(item, task_type)) {
            PyErr_Format(PyExc_TypeError, "tasks must hold Tasks only, not %.200s",
                         Py_TYPE(item)->tp_name);
            Py_DECREF(results);
            return nullptr;
        }
        TaskObject* const task = as_task(item);
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
    return as_object(spawn(as_pool(self), args[0], args + 1, nargs - 1, names));
}

PyObject* pool_spawn_many(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 2) {
        PyErr_Format(PyExc_TypeError,
                     "spawn_many() takes a function and an iterable, got %zd arguments", nargs);
        return nullptr;
    }
    PoolObject* const pool = as_pool(self);
    PyObject* const function = args[0];
    if (!check_callable(function)) {
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
        TaskObject* const task = spawn(pool, function, &item, 1, nullptr);
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
    if (outcome == WaitOutcome::timed_out) {
        Py_RETURN_FALSE;
    }
    TaskObject* const task = as_task(argument);
    if (task->state != TaskState::fresh) {  // started or killed while we waited
        pass_slot_on(as_pool(self));
    } else if (!start_task(as_pool(self), task)) {
        pass_slot_on(as_pool(self));
        return nullptr;
    }
    Py_RETURN_TRUE;
}

PyObject* pool_start_later(PyObject* self, PyObject* args) {
    PyObject* argument = nullptr;
    PyObject* seconds = nullptr;
    if (PyArg_ParseTuple(args, "O!O:_start_later", task_type, &argument, &seconds) == 0) {
        return nullptr;
    }
    const auto delay = duration_argument(seconds, "seconds", 1.0);
    if (!delay || !start_task_later(as_pool(self), as_task(argument), *delay)) {
        return nullptr;
    }
    Py_RETURN_NONE;
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
        take_guest_slot(as_pool(self));
    }
    return PyBool_FromLong(outcome == WaitOutcome::notified);
}

int add_gather(PyObject* module) {
    return PyModule_AddFunctions(module, gather_functions);
}

}  // namespace gilpool::bindings
