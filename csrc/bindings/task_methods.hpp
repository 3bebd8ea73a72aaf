// bindings/task_methods.hpp: what Python sees of a Task.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

struct TaskObject;

extern PyMethodDef task_methods[];
extern PyGetSetDef task_getset[];

PyObject* task_repr(PyObject* self);

/// What a task that is done returned, or null with what it raised.
PyObject* task_result(TaskObject* task);

/// Adds getcurrent() to `module`.
int add_getcurrent(PyObject* module);

/// Adds _cancel_tasks() to `module`.
int add_cancel_tasks(PyObject* module);

/// await task: waits without a thread, in the running asyncio loop.
PyObject* task_await(PyObject* self);

}  // namespace gilpool::bindings
