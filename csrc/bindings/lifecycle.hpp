// bindings/lifecycle.hpp: what fork and the interpreter's exit mean to tasks and workers. GIL held.
//
// Exit is like exit with threads: what was spawned runs to its end, and may spawn more meanwhile;
// what was to start later does not. Then spawning is over, daemon pools are cut short, the workers
// end, and only then the interpreter goes on to die. Nothing native takes the GIL afterwards,
// except a thread that was stuck in foreign code of a daemon pool; CPython stops it when it comes
// back.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

/// True once the interpreter has begun to exit: tasks may still spawn, but not for later.
bool exit_has_begun();

/// True once tasks cannot be spawned any more.
bool spawning_is_over();

/// True once the workers have been told to end: what is not done now never will be.
bool workers_are_gone();

/// Adds the functions that the Python side registers as exit and fork hooks.
int add_lifecycle(PyObject* module);

}  // namespace gilpool::bindings
