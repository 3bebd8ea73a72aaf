// bindings/native_waits.hpp: sleep and wait_fd: functions that only wait. Called directly they let
// the GIL go and occupy their thread; spawned they need none. GIL held.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

class NativeWork;
struct TaskObject;

/// Whether `function` is one of them.
bool is_native_wait(PyObject* function);

/// Native work for a call of one, or null if the call is one for Python; no exception is set.
NativeWork* wait_work_for(const TaskObject* task);

/// Adds sleep and wait_fd to `module`; -1 with an exception set on failure.
int add_native_waits(PyObject* module);

}  // namespace gilpool::bindings
