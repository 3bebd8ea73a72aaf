// bindings/pool_queue.cpp: how a task gets into its pool's queue or onto a lane, and out. GIL held.
#include "bindings/errors.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/native_work.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/stats_function.hpp"
#include "bindings/task_timer.hpp"
#include "bindings/task_type.hpp"
#include "bindings/trace.hpp"
#include "bindings/trace_native.hpp"

namespace gilpool::bindings {

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

/// A wait has no thread that could keep its task's times.
void note_wait_begins(TaskObject* task) {
    if (task->times != nullptr && task->native->is_wait()) {
        task->times->queued = (core::monotonic_now() - task->times->spawned).count();
    }
}

/// Sets the task's native work going; the task runs, to all appearances, from now on. Work that
/// cannot be done this way is gone afterwards.
NativeWork::Start start_native(PoolObject* pool, TaskObject* task) {
    adopt(pool, task);
    task->state = TaskState::running;
    Py_INCREF(as_object(task));
    pool->running.push_back(task);
    const std::int64_t since = task->native->is_wait() ? trace_wait_is_due() : 0;
    note_wait_begins(task);  // before: a sleep must not seem shorter than it is
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

void note_unqueued(const TaskObject* task) {
    trace_unqueued(task);
    if (task->pool->queued.empty()) {
        unschedule(task->pool);
    }
}

void unqueue(TaskObject* task) {
    task->pool->queued.unlink(task);
    note_unqueued(task);
}

void task_left_pool(PoolObject* pool) {
    ++pool->counters.finished;
    return_slot(pool);
}

void move_task(TaskObject* task, PoolObject* other) {
    PoolObject* const pool = task->pool;
    if (task->state == TaskState::queued) {
        unqueue(task);
        other->queued.push_back(task);
        schedule(other);
    } else {
        pool->running.unlink(task);
        other->running.push_back(task);
    }
    move_lent_slot(task, other);
    adopt(other, task);
    return_slot(pool);
    Py_DECREF(as_object(pool));
}

void unlink_running(TaskObject* task) {
    task->pool->running.unlink(task);
}

}  // namespace gilpool::bindings
