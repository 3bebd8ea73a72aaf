// bindings/pool_map.hpp: map, and fetching the results of many tasks. GIL held, released to wait.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

/// Pool._map(function, iterable, /): the results in order; the first error in that order raises.
PyObject* pool_map(PyObject* self, PyObject* const* args, Py_ssize_t nargs);

/// Adds gather(tasks, /), the results of tasks in order, to `module`.
int add_gather(PyObject* module);

}  // namespace gilpool::bindings
