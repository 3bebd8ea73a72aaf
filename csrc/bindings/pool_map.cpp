// bindings/pool_map.cpp: map by a bulk where nobody can tell the difference, else by tasks.
#include "bindings/pool_map.hpp"

#include "bindings/bulk.hpp"
#include "bindings/compat.hpp"
#include "bindings/kernel_type.hpp"
#include "bindings/pool_spawn.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/slot_line.hpp"
#include "bindings/stats_function.hpp"
#include "bindings/task_methods.hpp"
#include "bindings/task_type.hpp"
#include "bindings/trace.hpp"

namespace gilpool::bindings {

namespace {

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
        PyObject* const result = task->state == TaskState::done
                                     ? task_result(task)
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

/// Whether a bulk can make the calls: each in nothing but a fresh context, by Python, unobserved.
bool fits_bulk(const PoolObject* pool, PyObject* function, PyObject* iterable) {
    return !pool->copies_context && Py_TYPE(function) != kernel_type && !collecting_stats() &&
           !tracing() && holds_its_items(iterable);
}

/// Gives each item its slot, when there is one; false with an exception set if not all got theirs.
bool allow_all(PoolObject* pool, Bulk* bulk) {
    if (bulk->count == 0) {
        return true;
    }
    if (pool->size < 0) {
        return allow_items(pool, bulk, bulk->count) || raise_no_thread();
    }
    return allow_items_when_free(pool, bulk);
}

PyObject* map_by_bulk(PoolObject* pool, PyObject* function, PyObject* iterable) {
    Bulk* const bulk = may_spawn(pool) ? new_bulk(function, iterable) : nullptr;
    if (bulk == nullptr) {
        return nullptr;
    }
    PyObject* const results = allow_all(pool, bulk) ? bulk_results(bulk) : nullptr;
    PyObject* const raised = results == nullptr ? take_raised_exception() : nullptr;
    end_bulk(bulk);
    if (raised != nullptr) {
        raise_exception(raised);
    }
    return results;
}

}  // namespace

PyObject* pool_map(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 2) {
        PyErr_Format(PyExc_TypeError, "_map() takes a function and an iterable, got %zd arguments",
                     nargs);
        return nullptr;
    }
    PoolObject* const pool = as_pool(self);
    if (!check_callable(args[0])) {
        return nullptr;
    }
    if (fits_bulk(pool, args[0], args[1])) {
        return map_by_bulk(pool, args[0], args[1]);
    }
    PyObject* const tasks = pool_spawn_many(self, args, nargs);
    PyObject* const results = tasks != nullptr ? gather(nullptr, tasks) : nullptr;
    Py_XDECREF(tasks);
    return results;
}

int add_gather(PyObject* module) {
    return PyModule_AddFunctions(module, gather_functions);
}

}  // namespace gilpool::bindings
