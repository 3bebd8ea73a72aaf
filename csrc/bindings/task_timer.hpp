// bindings/task_timer.hpp: tasks that start later. GIL held.
//
// The reactor keeps the deadlines and needs no thread for each. What is due leaves it as one batch,
// on its own thread and without the GIL; the batch goes to a lock-free list, from which one worker
// starts the tasks, with the GIL, however many there are.
//
// Invariant: task->timer is set exactly while the timer is armed or on that list, and the timer
// holds a reference to task and pool. Whoever takes it off (start, kill, exit, delivery) does so
// with the GIL held; a cancel that comes too late for the reactor leaves the timer to the delivery,
// which finds the task no longer fresh and only drops it.
#pragma once

#include <Python.h>

#include <chrono>

namespace gilpool::bindings {

struct PoolObject;
struct TaskObject;

/// Has a fresh task started on `pool` after `delay`. False with an exception set on failure.
bool start_task_later(PoolObject* pool, TaskObject* task, std::chrono::nanoseconds delay);

/// Takes back the timer of a task that is started or killed before it is due, if it has one.
void cancel_timer(TaskObject* task);

/// At exit: ends every task whose time has not come with TaskExit. False with an exception set on
/// failure.
bool cancel_all_timers();

/// In a forked child: fails the tasks whose timers run in the parent.
void fail_inherited_timers();

}  // namespace gilpool::bindings
