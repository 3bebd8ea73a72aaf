// bindings/bulk.hpp: the calls of one map() that nobody has begun, as a single entry of a queue.
// GIL held, which is the lock of everything here.
//
// A Task for each of 100,000 items costs more than the calls do. So the queue holds one entry for
// all of them, and whoever begins an item makes its Task then. If nobody else knows that Task when
// its call has returned (no reference, no link, no name), only the result is kept, and the Task
// serves the next item. Who looks at what is queued gets Tasks: show_queued().
//
// Invariant: the items [0, next) have been taken out: each is a Task of its own, in a queue or
// running, or it is over. Those of [next, allowed) have a slot of their pool each, and the entry is
// in the pool's queue exactly while there are any. Those of [allowed, count) wait for slots. While
// the bulk is open its mapper adds items at the end.
#pragma once

#include <Python.h>

#include <cstdint>

#include "core/waiters.hpp"

namespace gilpool::bindings {

struct PoolObject;
struct TaskObject;

/// Counted: the mapper, the entry while it is queued, and each Task until it is over keep one.
struct Bulk {
    int references;
    TaskObject* entry;     ///< what stands in the queue; never runs
    PyObject* function;    ///< what each Task calls
    PyObject* items;       ///< a list, whose items leave it when they are taken; null: numbers
    long long start;       ///< the number of item 0 ...
    long long step;        ///< ... and how far it is to the next
    TaskObject* upcoming;  ///< for the next item: made, perhaps with its argument; or null
    Py_ssize_t next;
    Py_ssize_t allowed;
    Py_ssize_t count;
    Py_ssize_t left;           ///< items that are not over
    bool open;                 ///< more may come
    PyObject* results;         ///< the list for the mapper; null: nobody wants it (any more)
    std::uintptr_t* outcomes;  ///< what is in it until it is complete, see bulk_outcomes.hpp
    Py_ssize_t awaited;        ///< the item that the mapper waits for, or -1: for all of them
    bool even;                 ///< every outcome up to now is a value
    core::WaitList mapper;
};

// --- the mapper's part ---

/// A bulk of the function's calls with each item of an iterable that holds them already; null with
/// an exception set. end_bulk() must follow.
Bulk* new_bulk(PyObject* function, PyObject* iterable);

/// A bulk without items, for add_item() until close_bulk().
Bulk* new_open_bulk(PyObject* function);

/// Adds an item at the end; false with an exception set for want of memory.
bool add_item(Bulk* bulk, PyObject* item);

/// Nothing is added any more: before bulk_results() or end_bulk().
void close_bulk(Bulk* bulk);

/// Waits, GIL released, for the results of a bulk that is not open and returns the list of them; or
/// raises the first error in their order as soon as all items before it are over, or what ends the
/// wait.
PyObject* bulk_results(Bulk* bulk);

/// The mapper wants no (more) results and waits for no more slots. What is queued runs.
void end_bulk(Bulk* bulk);

// --- the queue's part ---

/// Gives `count` more items a slot each, free or not, and queues them; false if no thread can be
/// had: then nothing has changed.
bool allow_items(PoolObject* pool, Bulk* bulk, Py_ssize_t count);

/// Whether the first of a queue that is not empty is a Task, or one for the next item is at hand.
/// False: to have one at hand now, memory was allocated, which may have run any code; the caller
/// looks at everything anew. An item for which there is no memory fails with MemoryError.
bool can_take(PoolObject* pool);

/// After can_take(): takes that Task out and passes the queue's reference on. Runs no code of the
/// user's.
TaskObject* take_queued(PoolObject* pool);

/// Makes Tasks of all items that are queued in `pool`; false with an exception set for want of
/// memory.
bool show_queued(PoolObject* pool);

/// How many tasks are queued, seen or unseen.
Py_ssize_t count_queued(const PoolObject* pool);

/// In a forked child: drops an entry that was queued in the parent. What other threads may have
/// been using is leaked.
void forget_entry(TaskObject* entry);

// --- the worker's part ---

/// True for a Task of an item that nobody knows but the worker that runs it.
bool is_unknown_item(const TaskObject* task);

/// Between two calls of one Task: keeps the value of the item that has been called, whose reference
/// is taken, and gives the Task the next one. False, and nothing has changed, unless nobody knows
/// the Task, it is to go on, and all that can be done without running any code of the user's.
bool exchange_item(TaskObject* task, PyObject* value);

/// The call of an unknown item has returned: keeps the value, whose reference is taken like that to
/// the task, and tells the pool and the mapper.
void end_unknown_item(TaskObject* task, PyObject* value);

/// The Task of an item is done and stays what it is.
void end_known_item(TaskObject* task);

}  // namespace gilpool::bindings
