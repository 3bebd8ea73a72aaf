// bindings/task_run.hpp: how a task's call is made and how it ends. GIL held.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

struct Runner;
struct TaskObject;

/// Calls the function on the calling worker, stores how it ended and tells the pool, the waiters
/// and the links. Takes the reference to `task`, which the scheduler has moved to its pool's
/// running tasks. If that is the item of a bulk which nobody knows, goes on with the next ones by
/// the same Task, as long as worker_may_go_on(); returns how many more these were, at most `most`.
int run_task(TaskObject* task, const Runner* runner, int most);

/// Ends a task that never ran: `outcome` (its reference is taken) becomes the value if it is a
/// TaskExit, else the exception. The caller has unlinked the task and passes its reference on.
void end_unstarted_task(TaskObject* task, PyObject* outcome);

/// The calling worker ends: drops the context that it keeps for its next task.
void forget_blank_context();

/// Ends a running task that had native work, which it lets go of. The reference to `value` is
/// taken; null: the exception that is set is the outcome. A kill that is under way outdoes both.
void end_native_task(TaskObject* task, PyObject* value);

/// In a forked child: ends a task that was queued or running in the parent. What other threads may
/// have been using is leaked, not destroyed.
void fail_inherited_task(TaskObject* task);

}  // namespace gilpool::bindings
