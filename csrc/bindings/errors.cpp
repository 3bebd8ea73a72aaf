// bindings/errors.cpp: creates gilpool's exception types.
#include "bindings/errors.hpp"

namespace gilpool::bindings {

ErrorTypes error_types;

int add_errors(PyObject* module) {
    error_types.task_exit = PyErr_NewExceptionWithDoc(
        "gilpool.TaskExit",
        "Ends the task it is raised in. A task that ends with it has succeeded, with the exception "
        "as\n"
        "its value. Not an Exception, so that `except Exception` in a task does not swallow it.",
        PyExc_BaseException, nullptr);
    error_types.wait_timeout =
        PyErr_NewExceptionWithDoc("gilpool.WaitTimeout",
                                  "A wait of gilpool's ran out of time; what was waited for goes "
                                  "on. A TimeoutError that a task\n"
                                  "raised itself is never of this type.",
                                  PyExc_TimeoutError, nullptr);
    if (error_types.task_exit == nullptr || error_types.wait_timeout == nullptr) {
        return -1;
    }
    if (PyModule_AddObjectRef(module, "TaskExit", error_types.task_exit) != 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "WaitTimeout", error_types.wait_timeout);
}

}  // namespace gilpool::bindings
