// bindings/task_links.hpp: callbacks that are called once a task is done. GIL held.
//
// Order is the order of linking, but for raw links, by which waits learn of the end: they come
// first, so that nobody waits for other callbacks. The worker that ran the task calls them, after
// it has woken the waiters; a task that ends elsewhere (killed before it ran) or is linked when
// done already has them called on a worker of the pool's own. A callback that raises is reported
// through sys.unraisablehook, the others run.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

struct TaskObject;

/// When a link's callback is called.
enum class LinkKind : int { always, on_value, on_exception, raw };

/// Adds a link; false with an exception set on failure.
bool add_link(TaskObject* task, PyObject* callback, LinkKind kind);

/// Removes the first link whose callback equals `callback`, if any; false with an exception set on
/// failure.
bool remove_link(TaskObject* task, PyObject* callback);

/// True if a wait for several tasks has linked its mailbox.
bool has_mailbox_link(const TaskObject* task);

/// Calls and drops the links of a done task, here if the calling thread is a worker between tasks,
/// else on one. `of_daemon`: it belonged to a pool that exit does not wait for.
void run_links(TaskObject* task, bool of_daemon);

/// Adds _run_links, what such a worker calls, to `module`.
int add_link_functions(PyObject* module);

}  // namespace gilpool::bindings
