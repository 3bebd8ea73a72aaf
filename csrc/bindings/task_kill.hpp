// bindings/task_kill.hpp: ending a task from outside. GIL held.
//
// A task that has not begun never runs. A running one gets its exception in one of two ways,
// whichever comes first: a wait or sleep of ours that its thread is in raises it, or Python raises
// it at the next bytecode (PyThreadState_SetAsyncExc). Foreign C code is not interrupted: the
// exception waits there.
//
// Invariant: kill_with is set exactly while a kill is under way, and an asynchronous exception is
// pending on a thread only while it runs the task with that kill. Both are set and cleared with the
// GIL held and the task running on that thread; run_task settles them before another task's first
// bytecode. So a kill can never hit the next task.
#pragma once

#include <Python.h>

#include <cstdint>

namespace gilpool::bindings {

struct TaskObject;

/// Asks `task` to end with `exception` (an instance; its reference is taken). Does not wait. False
/// with an exception set if the calling thread runs the task itself: then that exception is the
/// one.
bool kill_task(TaskObject* task, PyObject* exception);

/// Makes what killing needs, at import; -1 with an exception set on failure.
int prepare_kill();

/// Ends `task` with `exception` (an instance; its reference is taken) if it has not begun; says
/// whether.
bool cancel_task(TaskObject* task, PyObject* exception);

/// Called in a wait of ours on the task's own thread: raises the exception of a kill that is under
/// way. True if it did.
bool deliver_kill(TaskObject* task);

/// How many kills deliver_kill() has raised on the calling thread: to be kept for
/// was_killed_since().
std::uint32_t kills_delivered();

/// True if the task that the calling thread runs, if any, has been killed since, or is being.
bool was_killed_since(std::uint32_t kills_before);

/// Called after the task's call has ended and before anything else runs on its thread: takes back
/// an exception that was not raised in time (it ends the task all the same) and sees to it that the
/// killer's instance is the one.
void settle_kill(TaskObject* task, PyObject** value, PyObject** exception);

/// The instance to kill with from what the user passed: an exception type, instance, or null
/// (TaskExit). New reference, or null with a TypeError set.
PyObject* kill_exception_argument(PyObject* argument);

}  // namespace gilpool::bindings
