// bindings/sleep_functions.hpp: the experiment's two functions.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

/// Adds sleep_gil and sleep_nogil to `module`; -1 with an exception set on failure.
int add_sleep_functions(PyObject* module);

}  // namespace gilpool::bindings
