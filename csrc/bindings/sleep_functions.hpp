// bindings/sleep_functions.hpp: the experiment's two functions and gilpool.sleep.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

/// Adds sleep_gil, sleep_nogil and sleep to `module`; -1 with an exception set on failure.
int add_sleep_functions(PyObject* module);

}  // namespace gilpool::bindings
