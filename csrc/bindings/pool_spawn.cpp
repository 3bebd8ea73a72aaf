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

/// A new task that waits for nothing but its slot; null with an exception set.
TaskObject* new_prepared_task(PoolObject* pool, PyObject* function, PyObject* const* arguments,
                              Py_ssize_t positional, PyObject* names) {
    TaskObject* const task = new_task(task_type, function, arguments, positional, names);
    if (task != nullptr && !prepare_task(pool, task)) {
        Py_DECREF(as_object(task));
        return nullptr;
    }
    return task;
}

/// Queues a prepared task once there is a slot.
WaitOutcome queue_prepared_task(PoolObject* pool, TaskObject* task, core::TimePoint deadline) {
    // In line as well when no thread can be had: whoever is refused there learns why.
    return !is_full(pool) && queue_task(pool, task) ? WaitOutcome::notified
                                                    : queue_when_free(pool, task, deadline);
}

/// A new task, queued, once there is a slot; null with an exception set.
TaskObject* spawn(PoolObject* pool, PyObject* function, PyObject* const* arguments,
                  Py_ssize_t positional, PyObject* names) {
    TaskObject* const task = new_prepared_task(pool, function, arguments, positional, names);
    if (task != nullptr && queue_prepared_task(pool, task, core::kNever) != WaitOutcome::notified) {
        Py_DECREF(as_object(task));
        return nullptr;
    }
    return task;
}

/// Appends a new task for each item to `tasks`: those that had to wait for no slot are queued, the
/// others, from `*unqueued` on, are not if they may be `taken_early`. False with an exception set:
/// that of the iterable, or no task can be made.
bool spawn_each(PoolObject* pool, PyObject* function, PyObject* iterator, bool taken_early,
                PyObject* tasks, Py_ssize_t* unqueued) {
    Breath breath;
    while (PyObject* const item = PyIter_Next(iterator)) {
        if (!breath.take()) {
            Py_DECREF(item);
            return false;
        }
        const bool is_queued = *unqueued == PyList_GET_SIZE(tasks);
        const bool waits = taken_early && (!is_queued || is_full(pool));
        TaskObject* const task = waits ? new_prepared_task(pool, function, &item, 1, nullptr)
                                       : spawn(pool, function, &item, 1, nullptr);
        Py_DECREF(item);
        const bool ok = task != nullptr && PyList_Append(tasks, as_object(task)) == 0;
        Py_XDECREF(as_object(task));
        if (!ok) {
            return false;
        }
        *unqueued += waits ? 0 : 1;
    }
    return PyErr_Occurred() == nullptr;
}

}  // namespace

bool check_callable(PyObject* function) {
    if (PyCallable_Check(function) != 0) {
        return true;
    }
    PyErr_Format(PyExc_TypeError, "function must be callable, not %.200s",
                 Py_TYPE(function)->tp_name);
    return false;
}

bool holds_its_items(PyObject* iterable) {
    return PyList_CheckExact(iterable) || PyTuple_CheckExact(iterable) ||
           PyAnySet_CheckExact(iterable) || PyDict_CheckExact(iterable) ||
           Py_IS_TYPE(iterable, &PyRange_Type);
}

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
    Py_ssize_t unqueued = 0;
    bool ok = tasks != nullptr &&
              spawn_each(pool, function, iterator, holds_its_items(args[1]), tasks, &unqueued);
    if (tasks != nullptr) {
        PyObject* const raised = ok ? nullptr : take_raised_exception();
        ok = queue_all_when_free(pool, tasks, unqueued) && ok;
        if (raised != nullptr) {
            PyErr_Clear();  // what ends the wait as well is the later one
            raise_exception(raised);
        }
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
    PoolObject* const pool = as_pool(self);
    TaskObject* const task = as_task(argument);
    if (task->state != TaskState::fresh) {
        Py_RETURN_TRUE;
    }
    const WaitOutcome outcome =
        prepare_task(pool, task) ? queue_prepared_task(pool, task, *deadline) : WaitOutcome::raised;
    return outcome == WaitOutcome::raised ? nullptr
                                          : PyBool_FromLong(outcome == WaitOutcome::notified);
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
    const WaitOutcome outcome = take_guest_slot_when_free(as_pool(self), *deadline);
    return outcome == WaitOutcome::raised ? nullptr
                                          : PyBool_FromLong(outcome == WaitOutcome::notified);
}

}  // namespace gilpool::bindings
