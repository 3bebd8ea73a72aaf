// bindings/direct_call.hpp: a kernel called as a function, on the calling thread or for it. GIL
// held on entry and return; both take the work and destroy it.
//
// Where somebody may want to interrupt the call (Ctrl-C in the main thread, Task.kill in a task) a
// lane runs it and the thread waits as in Task.get, so that it can leave a call which does not
// stop; that costs some 10 us. A task's call queues for a core as if it had been spawned, so that
// tasks do not compute on more threads than there are cores. Other threads run it themselves.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

class KernelWork;

/// Runs the work with the GIL held throughout.
PyObject* call_holding(KernelWork* work);

/// Runs the work with the GIL released.
PyObject* call_releasing(KernelWork* work);

}  // namespace gilpool::bindings
