// bindings/task_type.hpp: gilpool.Task, the handle of one spawned call, as a raw heap type.
//
// Raw because it is made for every spawn: 14 ns to create and destroy beside 130-185 ns through a
// binding library. Every field is read and written with the GIL held; waiters and stop have their
// own protocols.
//
// State: queued -> running -> done, or queued -> done (cancelled). Who moves a task out of `queued`
// unlinks it from its pool's queue under the GIL, so exactly one of worker, cancel and exit gets
// it.
#pragma once

#include <Python.h>

#include "core/stop_token.hpp"
#include "core/waiters.hpp"

namespace gilpool::bindings {

struct PoolObject;

enum class TaskState : unsigned char { queued, running, done };

struct TaskObject {
    PyObject_HEAD PyObject*
        function;         ///< dropped, like args and kwargs, as soon as the task is done
    PyObject* args;       ///< tuple
    PyObject* kwargs;     ///< dict or null
    PyObject* value;      ///< result, or the TaskExit that ended the task; null until then
    PyObject* exception;  ///< what the call raised
    PyObject* label;      ///< str: the function's name, which outlives the function
    PyObject* weakrefs;
    PoolObject* pool;      ///< strong while the pool tracks the task, else null
    TaskObject* previous;  ///< links in the pool's queue or its list of running tasks
    TaskObject* next;
    TaskState state;
    bool exception_seen;  ///< somebody fetched it: no report when the task is dropped
    core::WaitList waiters;
    core::StopToken stop;  ///< ends gilpool's own sleeps in this task
};

extern PyTypeObject* task_type;

/// Creates the type and adds it to `module`; -1 with an exception set on failure.
int add_task_type(PyObject* module);

/// A queued task of `pool` that will call function(*args, **kwargs); takes no reference of its own
/// to a tuple or dict it was not given. Null with an exception set on failure.
TaskObject* new_task(PoolObject* pool, PyObject* function, PyObject* args, PyObject* kwargs);

/// The task that the calling thread runs, or null. Borrowed; no GIL needed.
TaskObject* current_task();

/// Calls the function on the calling worker, stores how it ended and tells the pool and the
/// waiters. Takes the reference to `task`.
void run_task(TaskObject* task);

/// Ends a task that never ran: `outcome` (its reference is taken) becomes the value if it is a
/// TaskExit, else the exception. The caller has unlinked the task and passes its reference on.
void end_unstarted_task(TaskObject* task, PyObject* outcome);

/// In a forked child: ends a task that was queued or running in the parent. What other threads may
/// have been using is leaked, not destroyed.
void fail_inherited_task(TaskObject* task);

}  // namespace gilpool::bindings
