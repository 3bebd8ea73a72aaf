// bindings/pool_spawn.hpp: how tasks get into a Pool: the hot path. GIL held, released only to wait
// for a slot.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

/// Pool.spawn(function, /, *args, **kwargs): no Python-level code, no allocation beyond the task.
PyObject* pool_spawn(PyObject* self, PyObject* const* args, Py_ssize_t nargs, PyObject* names);

/// Pool.spawn_many(function, iterable, /)
PyObject* pool_spawn_many(PyObject* self, PyObject* const* args, Py_ssize_t nargs);

/// Pool._start(task, timeout, /)
PyObject* pool_start(PyObject* self, PyObject* args);

/// Pool._start_later(task, seconds, /)
PyObject* pool_start_later(PyObject* self, PyObject* args);

/// Pool._take_slot(timeout, /)
PyObject* pool_take_slot(PyObject* self, PyObject* timeout);

/// False with TypeError set if it cannot be called.
bool check_callable(PyObject* function);

/// True for what has its items in memory already: to take them before there are slots for all costs
/// nothing, and nobody sees it.
bool holds_its_items(PyObject* iterable);

}  // namespace gilpool::bindings
