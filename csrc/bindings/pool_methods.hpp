// bindings/pool_methods.hpp: what Python sees of a Pool. GIL held.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

extern PyMethodDef pool_methods[];
extern PyGetSetDef pool_getset[];

PyObject* pool_repr(PyObject* self);
Py_ssize_t pool_length(PyObject* self);
int pool_contains(PyObject* self, PyObject* object);

/// A pool is a thing to spawn on, not a collection to test: true even when nothing runs.
int pool_truth(PyObject* self);

}  // namespace gilpool::bindings
