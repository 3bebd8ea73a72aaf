// bindings/kernel_type.hpp: a kernel as a Python callable: a raw heap type with vectorcall, one
// object for each row of the table. GIL held.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

class NativeWork;
struct TaskObject;

extern PyTypeObject* kernel_type;

/// The name of a kernel, which lives as long as the process.
const char* kernel_name(PyObject* kernel);

/// Native work for a task's call of a kernel; null, without an exception, if the call is to hold
/// the GIL, wants to be told how far it is, or cannot be made.
NativeWork* kernel_work_for(const TaskObject* task);

/// Creates the type, and dicts: of all kernels by name (`_kernels`), of those that lack a library
/// (`_missing_kernels`), and of the libraries' versions (`_libraries`); -1 with an exception set.
int add_kernel_type(PyObject* module);

}  // namespace gilpool::bindings
