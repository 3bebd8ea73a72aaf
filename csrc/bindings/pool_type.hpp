// bindings/pool_type.hpp: gilpool's Pool, as a raw heap type: accounting over the process's native
// threads. Everything here is called with the GIL held, which is the lock of every list and
// counter.
//
// Invariant: tracked == queued + running + guests (slots taken for what runs elsewhere); the pool
// is linked in the list of active pools exactly while tracked > 0 (but for the moment in which a
// slot goes from one task to the next), and each queued or running task holds a reference to it.
// lent counts running tasks that wait in our API: their slots are free for others meanwhile, so a
// pool never waits for itself. A task that comes back from such a wait may make the pool one too
// full.
#pragma once

#include <Python.h>

#include <memory>

#include "bindings/crew.hpp"
#include "bindings/slot_line.hpp"
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
    void insert_after(TaskObject* place, TaskObject* task);  ///< null: as the first
    void unlink(TaskObject* task);
};

struct PoolCounters {
    std::uint64_t spawned = 0;
    std::uint64_t finished = 0;
};

struct PoolObject {
    PyObject_HEAD
    Py_ssize_t size;  ///< most tasks tracked at once; -1: no limit
    Py_ssize_t tracked;
    Py_ssize_t lent;
    Py_ssize_t guests;
    TaskList queued;
    TaskList running;
    PoolCounters counters;
    PyObject* name;  ///< str or None
    PyObject*
        initializer;  ///< called once on each worker before its first task of this pool, or null
    PyObject* initializer_args;  ///< tuple, with an initializer
    PyObject* weakrefs;
    PyObject* attributes;  ///< __dict__ of subclasses' instances
    bool daemon;           ///< exit cancels and abandons instead of waiting
    bool copies_context;   ///< tasks run in a copy of the spawner's context
    bool broken;           ///< the initializer raised: nothing runs any more
    bool ready;            ///< is linked in the scheduler's ring
    bool active;           ///< is linked in the list of active pools
    PoolObject* previous_ready;
    PoolObject* next_ready;
    PoolObject* previous_active;
    PoolObject* next_active;
    core::WaitList empty_waiters;  ///< told when tracked becomes 0
    SlotLine line;                 ///< who waits for a slot
    std::shared_ptr<Crew> crew;    ///< made with the first task of a pool with an initializer
};

inline PoolObject* as_pool(PyObject* object) {
    return reinterpret_cast<PoolObject*>(object);
}
inline PyObject* as_object(PoolObject* pool) {
    return reinterpret_cast<PyObject*>(pool);
}

/// Creates the type, adds it to `module` as Pool and makes the internal pool; -1 with an exception
/// set.
int add_pool_type(PyObject* module);

/// The pool behind Task.start(), once Python has said which; else the internal one.
PoolObject* default_pool();

/// A pool that belongs to no user: calls links, accounts for tasks killed before they were started.
PoolObject* internal_pool();

/// Another one, a daemon: for a task that exit must not wait for.
PoolObject* pool_of_the_set_aside();

/// The first pool that tracks tasks; others follow by next_active.
PoolObject* first_active_pool();

// --- slots ---

bool is_full(const PoolObject* pool);

/// Counts one more task or slot, several more, and one fewer.
void take_slot(PoolObject* pool);
void take_slots(PoolObject* pool, Py_ssize_t count);
void return_slot(PoolObject* pool);

/// The same for what runs elsewhere. Returning more than were taken does nothing: a forked child
/// has dropped those of its parent.
void take_guest_slot(PoolObject* pool);
void return_guest_slot(PoolObject* pool);

/// Gives up every guest's slot: the pool itself goes, for guests do not keep it, or the process is
/// a forked child.
void drop_guest_slots(PoolObject* pool);

/// Before a wait of ours: lends the slot of the task that the calling thread runs. False if there
/// is none to lend or it is lent already; otherwise take_own_slot_back() must follow.
bool lend_own_slot();
void take_own_slot_back();

/// Moves a lent slot from the books of the task's pool to those of `other`, or (null) just out of
/// them.
void move_lent_slot(TaskObject* task, PoolObject* other);

// --- tasks ---

/// False with an exception set if spawning is over or the pool is broken.
bool may_spawn(const PoolObject* pool);

/// Sets the exception that says so; false.
bool raise_no_thread();

/// Queues a fresh task whether a slot is free or not. False with an exception set if spawning is
/// over, the pool is broken or no thread can be had; the task is then as before.
bool start_task(PoolObject* pool, TaskObject* task);

/// start_task() in two steps. prepare_task() does what may raise; queue_task() never does, and is
/// false if no thread can be had: the task is then as before.
bool prepare_task(PoolObject* pool, TaskObject* task);
bool queue_task(PoolObject* pool, TaskObject* task);

/// Makes a fresh task one of `pool` without queueing it; its end is accounted for there.
void adopt(PoolObject* pool, TaskObject* task);

/// Takes a queued task out of its pool's queue and passes the queue's reference on.
void unqueue(TaskObject* task);

/// Has to follow when a task has been taken out of its pool's queue, and not in order to run.
void note_unqueued(const TaskObject* task);

/// Bookkeeping of a task that has ended: it has been unlinked from queue or running list already.
void task_left_pool(PoolObject* pool);

/// Moves a queued or running task to `other`, which then accounts for its end.
void move_task(TaskObject* task, PoolObject* other);

/// Moves a task that has just ended out of its pool's list of running tasks.
void unlink_running(TaskObject* task);

/// Ends every queued task of `pool` with `exception`, a type or an instance (null: TaskExit); false
/// with an exception set on failure.
bool cancel_queued(PoolObject* pool, PyObject* exception = nullptr);

/// Kills, with TaskExit and without waiting, what runs in `pool`; false with an exception set on
/// failure.
bool stop_running(PoolObject* pool);

enum class JoinResult { empty, timed_out, raised };

/// Waits, GIL released, until `pool` tracks no task.
JoinResult join_pool(PoolObject* pool, core::TimePoint deadline);

/// In a forked child: fails what the parent had queued or running, except the task that forked.
void fail_inherited_tasks();

}  // namespace gilpool::bindings
