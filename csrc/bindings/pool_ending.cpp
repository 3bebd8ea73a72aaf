// bindings/pool_ending.cpp: ending all that is queued or runs in a pool, and waiting for its end.
// GIL held, released to wait.
#include "bindings/bulk.hpp"
#include "bindings/errors.hpp"
#include "bindings/native_work.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_kill.hpp"
#include "bindings/task_run.hpp"
#include "bindings/task_type.hpp"
#include "bindings/waiting.hpp"

namespace gilpool::bindings {

namespace {

/// The pool's running tasks as a list, but for the caller's own; null with an exception set.
PyObject* list_running(PoolObject* pool) {
    PyObject* const tasks = PyList_New(0);
    for (TaskObject* task = pool->running.first; tasks != nullptr && task != nullptr;
         task = task->next) {
        if (task != current_task() && PyList_Append(tasks, as_object(task)) != 0) {
            Py_DECREF(tasks);
            return nullptr;
        }
    }
    return tasks;
}

/// Ends the tasks whose native work no lane has begun; false with an exception set on failure.
bool cancel_queued_natively(PoolObject* pool, PyObject* exception) {
    // Making an exception and ending a task may run any code, so the tasks are listed first.
    PyObject* const tasks = list_running(pool);
    bool ok = tasks != nullptr;
    for (Py_ssize_t i = 0; ok && i < PyList_GET_SIZE(tasks); ++i) {
        TaskObject* const task = as_task(PyList_GET_ITEM(tasks, i));
        if (task->native != nullptr && task->native->is_queued()) {
            PyObject* const exit = kill_exception_argument(exception);
            ok = exit != nullptr;
            if (ok) {
                cancel_task(task, exit);
            }
        }
    }
    Py_XDECREF(tasks);
    return ok;
}

}  // namespace

bool cancel_queued(PoolObject* pool, PyObject* exception) {
    // Making an exception and ending a task may run any destructor, which may spawn, cancel, or
    // drop the last name of the pool: so each round looks anew.
    Py_INCREF(as_object(pool));
    bool ok = true;
    while (ok && !pool->queued.empty()) {
        PyObject* const exit = kill_exception_argument(exception);
        ok = exit != nullptr;
        if (!ok || pool->queued.empty() || !can_take(pool)) {
            Py_XDECREF(exit);
            continue;
        }
        TaskObject* const task = take_queued(pool);
        note_unqueued(task);
        end_unstarted_task(task, exit);
    }
    ok = ok && cancel_queued_natively(pool, exception);
    Py_DECREF(as_object(pool));
    return ok;
}

bool stop_running(PoolObject* pool) {
    PyObject* const tasks = list_running(pool);  // making an exception may run any code
    bool ok = tasks != nullptr;
    for (Py_ssize_t i = 0; ok && i < PyList_GET_SIZE(tasks); ++i) {
        PyObject* const exit = PyObject_CallNoArgs(error_types.task_exit);
        ok = exit != nullptr && kill_task(as_task(PyList_GET_ITEM(tasks, i)), exit);
    }
    Py_XDECREF(tasks);
    return ok;
}

JoinResult join_pool(PoolObject* pool, core::TimePoint deadline) {
    if (pool->tracked == 0) {
        return JoinResult::empty;
    }
    ListedWaiter waiter(pool->empty_waiters);
    switch (waiter.wait_until(deadline)) {
        case WaitOutcome::notified:
            return JoinResult::empty;
        case WaitOutcome::timed_out:
            return JoinResult::timed_out;
        case WaitOutcome::raised:
            return JoinResult::raised;
    }
    Py_UNREACHABLE();
}

void fail_inherited_tasks() {
    // A pool leaves the list with its last task; only the one whose task forked stays.
    for (PoolObject* pool = first_active_pool(); pool != nullptr;) {
        Py_INCREF(as_object(pool));
        while (TaskObject* const task = pool->queued.first) {
            pool->queued.unlink(task);
            task->stands_for_many ? forget_entry(task) : fail_inherited_task(task);
        }
        TaskObject* following = nullptr;
        for (TaskObject* task = pool->running.first; task != nullptr; task = following) {
            following = task->next;
            if (task != current_task()) {
                pool->running.unlink(task);
                fail_inherited_task(task);
            }
        }
        PoolObject* const next = pool->next_active;
        drop_guest_slots(pool);
        Py_DECREF(as_object(pool));
        pool = next;
    }
}

}  // namespace gilpool::bindings
