// bindings/task_storage.hpp: the memory of Tasks, used again while there is work. GIL held.
//
// A task that is dropped leaves its memory to the next one: in the caches for a caller that waits
// for each result, in no need of new pages for one that queues a hundred thousand at once (a page
// costs 1-2 us where it is touched for the first time: 0.1 us for each task). What is kept is
// bounded, and goes back when a worker retires: nobody has needed it for seconds.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

struct TaskObject;

/// Untracked memory for a Task proper (no subclass), with its object header set and nothing else;
/// null with MemoryError set.
TaskObject* allocate_task(PyTypeObject* type);

/// Takes the memory of an untracked Task proper that has not been finalized, with what its
/// deallocator has left of it.
void free_task(TaskObject* task);

/// Gives back some of what is kept, so that nobody waits long for the GIL; true if more is left.
bool release_some_task_storage();

}  // namespace gilpool::bindings
