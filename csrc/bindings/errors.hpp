// bindings/errors.hpp: gilpool's own exception types. GIL held.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

struct ErrorTypes {
    PyObject* task_exit =
        nullptr;  ///< TaskExit(BaseException): ends a task, which then succeeded with it
    PyObject* wait_timeout = nullptr;  ///< WaitTimeout(TimeoutError): a wait of ours ran out
};

/// Set once by add_errors and never freed: exceptions may be raised as long as the interpreter
/// lives.
extern ErrorTypes error_types;

/// Creates the types and adds them to `module`; -1 with an exception set on failure.
int add_errors(PyObject* module);

}  // namespace gilpool::bindings
