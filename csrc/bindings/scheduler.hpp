// bindings/scheduler.hpp: which Python task runs next, and on how many workers at once.
// Everything here is called with the GIL held; the GIL is the lock of the ring of pools.
//
// Contending for the GIL is what hurts, so queued tasks do not each get a thread. One worker at
// most is on its way to the GIL for new work (the spare); it gets there when whoever runs Python
// blocks or has used up its slice. It then runs tasks back to back in one acquisition, and before
// each one calls for the next spare if more is queued. So a task that lets the GIL go is overtaken
// by the next one, a queue of short tasks is served by few threads, and everybody else gets the GIL
// once a slice.
#pragma once

#include <Python.h>

#include <cstdint>

namespace gilpool::bindings {

struct PoolObject;

/// Says that `pool` has a queued task and sees to it that a worker comes; false if there is no
/// worker and none can be made.
bool schedule(PoolObject* pool);

/// Says that `pool` has no queued task any more though no worker took the last one.
void unschedule(PoolObject* pool);

/// True on a worker that serves Python tasks.
bool is_serving_thread();

/// How long the calling worker waited for the GIL when it last came to serve.
std::int64_t last_gil_wait_ns();

/// In a forked child: forgets workers and queues, which belong to the parent.
void reset_scheduler();

}  // namespace gilpool::bindings
