// bindings/scheduler.hpp: which Python task runs next, and on how many workers at once.
// Everything here is called with the GIL held; the GIL is the lock of the ring of pools.
//
// This file is the queue; who may serve it when is in admission.hpp. The pools that have queued
// tasks form a ring and are served in turn, task by task.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

struct PoolObject;
struct Runner;

/// Says that `pool` has a queued task and sees to it that a worker comes; false if there is no
/// worker and none can be made.
bool schedule(PoolObject* pool);

/// Says that `pool` has no queued task any more though no worker took the last one.
void unschedule(PoolObject* pool);

/// True if `runner` is the active one and all that is queued is tasks of `pool`: it may go on with
/// these before anything else is looked at.
bool worker_may_go_on(const Runner* runner, const PoolObject* pool);

/// True on a worker that serves Python tasks.
bool is_serving_thread();

/// In a forked child: forgets workers and queues, which belong to the parent.
void reset_scheduler();

}  // namespace gilpool::bindings
