// bindings/pool_accounting.cpp: queues, slots and the list of active pools. GIL held.
#include <new>

#include "bindings/bulk.hpp"
#include "bindings/compat.hpp"
#include "bindings/errors.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/native_work.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/stats_function.hpp"
#include "bindings/task_kill.hpp"
#include "bindings/task_run.hpp"
#include "bindings/task_timer.hpp"
#include "bindings/task_type.hpp"
#include "bindings/trace.hpp"
#include "bindings/trace_native.hpp"
#include "bindings/waiting.hpp"

namespace gilpool::bindings {

namespace {

PoolObject* g_first_active = nullptr;

void link_active(PoolObject* pool) {
    pool->active = true;
    pool->previous_active = nullptr;
    pool->next_active = g_first_active;
    if (g_first_active != nullptr) {
        g_first_active->previous_active = pool;
    }
    g_first_active = pool;
}

/// next_active stays readable, for a walk over the list that empties pools as it goes.
void unlink_active(PoolObject* pool) {
    pool->active = false;
    (pool->previous_active != nullptr ? pool->previous_active->next_active : g_first_active) =
        pool->next_active;
    if (pool->next_active != nullptr) {
        pool->next_active->previous_active = pool->previous_active;
    }
}

}  // namespace

void TaskList::push_back(TaskObject* task) {
    task->previous = last;
    task->next = nullptr;
    (last != nullptr ? last->next : first) = task;
    last = task;
}

void TaskList::unlink(TaskObject* task) {
    (task->previous != nullptr ? task->previous->next : first) = task->next;
    (task->next != nullptr ? task->next->previous : last) = task->previous;
    task->previous = nullptr;
    task->next = nullptr;
}

void TaskList::insert_after(TaskObject* place, TaskObject* task) {
    task->previous = place;
    task->next = place != nullptr ? place->next : first;
    (place != nullptr ? place->next : first) = task;
    (task->next != nullptr ? task->next->previous : last) = task;
}

// --- slots ---

bool is_full(const PoolObject* pool) {
    return pool->size >= 0 && pool->tracked - pool->lent >= pool->size;
}

void take_slot(PoolObject* pool) {
    take_slots(pool, 1);
}

void take_slots(PoolObject* pool, Py_ssize_t count) {
    pool->tracked += count;
    if (!pool->active) {
        link_active(pool);
    }
}

void return_slot(PoolObject* pool) {
    --pool->tracked;
    if (pool->line.first != nullptr) {
        serve_line(pool);
    }
    if (pool->tracked == 0 && pool->active) {
        unlink_active(pool);
        pool->empty_waiters.notify_all();
    }
}

void take_guest_slot(PoolObject* pool) {
    ++pool->guests;
    take_slot(pool);
}

void return_guest_slot(PoolObject* pool) {
    if (pool->guests > 0) {
        --pool->guests;
        return_slot(pool);
    }
}

void drop_guest_slots(PoolObject* pool) {
    while (pool->guests > 0) {
        return_guest_slot(pool);
    }
}

bool lend_own_slot() {
    TaskObject* const task = current_task();
    if (task == nullptr || task->pool == nullptr || task->lends_slot) {
        return false;
    }
    task->lends_slot = true;
    ++task->pool->lent;
    serve_line(task->pool);
    return true;
}

void take_own_slot_back() {
    TaskObject* const task = current_task();  // its pool may be another one by now: see _discard
    task->lends_slot = false;
    --task->pool->lent;
}

void move_lent_slot(TaskObject* task, PoolObject* other) {
    if (task->lends_slot) {
        --task->pool->lent;
        task->lends_slot = other != nullptr;
        if (other != nullptr) {
            ++other->lent;
        }
    }
}

// --- tasks ---

PoolObject* first_active_pool() {
    return g_first_active;
}

void adopt(PoolObject* pool, TaskObject* task) {
    take_slot(pool);
    task->pool = as_pool(Py_NewRef(as_object(pool)));
}

namespace {

/// Takes a task that could not be started out of the pool again; false, for its caller.
bool undo_start(PoolObject* pool, TaskObject* task) {
    task->state = TaskState::fresh;
    task->pool = nullptr;
    return_slot(pool);
    Py_DECREF(as_object(pool));
    Py_DECREF(as_object(task));
    return false;
}

/// Sets the task's native work going; the task runs, to all appearances, from now on. Work that
/// cannot be done this way is gone afterwards.
NativeWork::Start start_native(PoolObject* pool, TaskObject* task) {
    adopt(pool, task);
    task->state = TaskState::running;
    Py_INCREF(as_object(task));
    pool->running.push_back(task);
    const std::int64_t since = task->native->is_wait() ? trace_wait_is_due() : 0;
    const NativeWork::Start outcome = task->native->start(task->times != nullptr);
    if (outcome != NativeWork::Start::started) {
        pool->running.unlink(task);
        undo_start(pool, task);
        drop_prepared_work(task);
    } else {
        trace_wait_begins(task, since);
    }
    return outcome;
}

bool note_started(PoolObject* pool, TaskObject* task) {
    if (task->timer != nullptr) {
        cancel_timer(task);
    }
    ++pool->counters.spawned;
    return true;
}

}  // namespace

bool may_spawn(const PoolObject* pool) {
    if (spawning_is_over()) {
        PyErr_SetString(PyExc_RuntimeError, "cannot spawn: the interpreter is shutting down");
        return false;
    }
    if (pool->broken) {
        PyErr_Format(PyExc_RuntimeError, "cannot spawn: the initializer of %R failed", pool);
        return false;
    }
    return true;
}

bool prepare_task(PoolObject* pool, TaskObject* task) {
    if (!may_spawn(pool)) {
        return false;
    }
    if (pool->copies_context && task->context == nullptr) {
        task->context = PyContext_CopyCurrent();
        if (task->context == nullptr) {
            return false;
        }
    }
    if (collecting_stats() && task->times == nullptr) {
        task->times = new TaskTimes{.spawned = core::monotonic_now()};
    }
    prepare_native_work(task);
    return true;
}

bool queue_task(PoolObject* pool, TaskObject* task) {
    if (task->state != TaskState::fresh) {
        return true;  // converting its arguments has let somebody else start or kill it
    }
    if (task->native != nullptr) {
        switch (start_native(pool, task)) {
            case NativeWork::Start::started:
                return note_started(pool, task);
            case NativeWork::Start::failed:
                return false;
            case NativeWork::Start::for_python:
                break;
        }
    }
    adopt(pool, task);
    task->state = TaskState::queued;
    Py_INCREF(as_object(task));
    pool->queued.push_back(task);
    trace_spawned(task);
    if (schedule(pool)) {
        return note_started(pool, task);
    }
    unqueue(task);
    return undo_start(pool, task);
}

bool start_task(PoolObject* pool, TaskObject* task) {
    if (!prepare_task(pool, task)) {
        return false;
    }
    return queue_task(pool, task) || raise_no_thread();
}

bool raise_no_thread() {
    PyErr_SetString(PyExc_RuntimeError, "cannot spawn: no thread can be started");
    return false;
}

namespace {

/// The task has been taken out of its pool's queue, and not in order to run.
void note_unqueued(const TaskObject* task) {
    trace_unqueued(task);
    if (task->pool->queued.empty()) {
        unschedule(task->pool);
    }
}

}  // namespace

void unqueue(TaskObject* task) {
    task->pool->queued.unlink(task);
    note_unqueued(task);
}

void task_left_pool(PoolObject* pool) {
    ++pool->counters.finished;
    return_slot(pool);
}

void unlink_running(TaskObject* task) {
    task->pool->running.unlink(task);
}

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
bool cancel_queued_natively(PoolObject* pool) {
    // Making an exception and ending a task may run any code, so the tasks are listed first.
    PyObject* const tasks = list_running(pool);
    bool ok = tasks != nullptr;
    for (Py_ssize_t i = 0; ok && i < PyList_GET_SIZE(tasks); ++i) {
        TaskObject* const task = as_task(PyList_GET_ITEM(tasks, i));
        if (task->native != nullptr && task->native->is_queued()) {
            PyObject* const exit = PyObject_CallNoArgs(error_types.task_exit);
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

bool cancel_queued(PoolObject* pool) {
    // Making an exception and ending a task may run any destructor, which may spawn, cancel, or
    // drop the last name of the pool: so each round looks anew.
    Py_INCREF(as_object(pool));
    bool ok = true;
    while (ok && !pool->queued.empty()) {
        PyObject* const exit = PyObject_CallNoArgs(error_types.task_exit);
        ok = exit != nullptr;
        if (!ok || pool->queued.empty() || !can_take(pool)) {
            Py_XDECREF(exit);
            continue;
        }
        TaskObject* const task = take_queued(pool);
        note_unqueued(task);
        end_unstarted_task(task, exit);
    }
    ok = ok && cancel_queued_natively(pool);
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
    for (PoolObject* pool = g_first_active; pool != nullptr; pool = pool->next_active) {
        // Waiters in these lists belong to threads that do not exist in the child.
        new (&pool->empty_waiters) core::WaitList;
        forget_line(pool);
    }
    // A pool leaves the list with its last task; only the one whose task forked stays.
    for (PoolObject* pool = g_first_active; pool != nullptr;) {
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
