// bindings/pool_type.hpp: gilpool's Pool, as a raw heap type: accounting over the process's native
// threads. Everything here is called with the GIL held, which is the lock of every list and
// counter.
//
// Invariant: tracked == queued + running; the pool is linked in the list of active pools, and each
// tracked task holds a reference to it, exactly while tracked > 0.
#pragma once

#include <Python.h>

#include "core/clock.hpp"
#include "core/waiters.hpp"

namespace gilpool::bindings {

struct TaskObject;

/// Tasks linked through their previous/next fields; holds a reference to each.
struct TaskList {
    TaskObject* first = nullptr;
    TaskObject* last = nullptr;

    bool empty() const { return first == nullptr; }
    void push_back(TaskObject* task);
    void unlink(TaskObject* task);
    TaskObject* pop_front();
};

struct PoolObject {
    PyObject_HEAD Py_ssize_t size;  ///< most tasks tracked at once; -1: no limit
    Py_ssize_t tracked;             ///< queued and running tasks
    TaskList queued;
    TaskList running;
    PyObject* name;  ///< str or None
    PyObject* weakrefs;
    PyObject* attributes;  ///< __dict__ of subclasses' instances
    bool daemon;           ///< exit cancels and abandons instead of waiting
    bool ready;            ///< is linked in the scheduler's ring
    PoolObject* previous_ready;
    PoolObject* next_ready;
    PoolObject* previous_active;
    PoolObject* next_active;
    core::WaitList empty_waiters;  ///< told when tracked becomes 0
    core::WaitList slot_waiters;   ///< one is told for each task that leaves a pool with a size
};

/// Creates the type and adds it to `module` as Pool; -1 with an exception set on failure.
int add_pool_type(PyObject* module);

/// The first pool that tracks tasks; others follow by next_active.
PoolObject* first_active_pool();

/// Bookkeeping of a task that has ended: it has been unlinked from queue or running list already.
void task_left_pool(PoolObject* pool);

/// Moves a task that has just ended out of its pool's list of running tasks.
void unlink_running(TaskObject* task);

/// Ends every queued task of `pool` with TaskExit; false with an exception set on failure.
bool cancel_queued(PoolObject* pool);

/// Ends gilpool's own sleeps in the running tasks of `pool`.
void stop_running(PoolObject* pool);

enum class JoinResult { empty, timed_out, raised };

/// Waits, GIL released, until `pool` tracks no task.
JoinResult join_pool(PoolObject* pool, core::TimePoint deadline);

/// In a forked child: fails what the parent had queued or running, except the task that forked.
void fail_inherited_tasks();

}  // namespace gilpool::bindings
