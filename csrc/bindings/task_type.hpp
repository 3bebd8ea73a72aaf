// bindings/task_type.hpp: gilpool.Task, the handle of one call, as a raw heap type.
//
// Raw because it is made for every spawn: 14 ns to create and destroy beside 130-185 ns through a
// binding library. The GIL is held for every access to every field, which makes it the lock of all
// of them; only `waiters` and the Parker behind `parked` have protocols of their own.
//
// State: fresh -> queued -> running -> done, or straight to done when killed before it runs.
// Whoever moves a task out of `queued` unlinks it from its pool's queue in the same breath, so
// exactly one of worker, kill, cancel and exit gets it.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>

#include "core/clock.hpp"
#include "core/parker.hpp"
#include "core/waiters.hpp"

namespace gilpool::bindings {

class NativeWork;
struct Bulk;
struct PoolObject;
struct TaskTimer;

enum class TaskState : std::uint8_t { fresh, queued, running, done };

/// Nanoseconds a task spent, filled in only while collection is on.
struct TaskTimes {
    core::TimePoint spawned;   ///< when it was queued
    std::int64_t queued = -1;  ///< -1: not measured
    std::int64_t gil_wait = 0;
    std::int64_t wall = 0;
    std::int64_t cpu = 0;
};

/// Most arguments a call keeps inside the task itself; more need a block of their own.
inline constexpr int kInlineArguments = 4;

struct TaskObject {
    PyObject_HEAD
    PyObject* function;  ///< dropped, like the arguments, as soon as the task is done
    /// arguments[-1] belongs to the callee while it is called, as vectorcall allows.
    PyObject* callee_slot;
    PyObject* inline_arguments[kInlineArguments];
    PyObject** arguments;     ///< inline_arguments, or a block whose first slot is the callee's
    PyObject* keyword_names;  ///< tuple, as in a vectorcall; null: no keywords
    std::int32_t positional;
    std::int32_t keywords;
    PyObject* value;      ///< result, or the TaskExit that ended the task; null until then
    PyObject* exception;  ///< what the call raised
    PyObject* name;       ///< str set by the user, or kept from the function when that is dropped
    const char* static_name;  ///< the same, kept from a function written in C
    PyObject* context;        ///< what to run in; null: a fresh one
    PyObject* links;          ///< list of links, or null
    PyObject* kill_with;      ///< exception of a kill that has not been delivered yet, or null
    PyObject* weakrefs;
    PoolObject* pool;      ///< strong while the pool tracks the task, else null
    TaskObject* previous;  ///< links in the pool's queue or its list of running tasks
    TaskObject* next;
    core::Parker* parked;  ///< where the task's thread sleeps in a wait of ours, or null
    TaskTimer* timer;      ///< while it is to be started later, else null
    NativeWork* native;    ///< what runs instead of a call, until it is over; else null
    Bulk* bulk;            ///< whose item this is until it is over, or whose entry; else null
    Py_ssize_t index;      ///< of the item in its bulk
    TaskTimes* times;      ///< owned; null unless collection was on when it was queued
    unsigned long thread;  ///< ident of the thread that runs it
    core::WaitList waiters;
    TaskState state;
    bool exception_seen;         ///< somebody fetched it: no report when the task is dropped
    bool lends_slot;             ///< counted in its pool's `lent`: waits in a wait of ours
    bool stands_for_many;        ///< the entry of a bulk: no task that anybody may see
    std::uint32_t trace_number;  ///< in the latest trace that saw it, else 0; fits into padding
};

extern PyTypeObject* task_type;

/// How many tasks exist, whether the collector knows them or not.
extern Py_ssize_t live_tasks;

inline TaskObject* as_task(PyObject* object) {
    return reinterpret_cast<TaskObject*>(object);
}
inline PyObject* as_object(TaskObject* task) {
    return reinterpret_cast<PyObject*>(task);
}

/// Has the memory of the task after `first` (may be null) fetched, when the list is about to give
/// out `first`: of 100,000 in a list none is in a cache, and each would be waited for (16 ns of 190
/// for a spawn and its run). Not of `first`: a tiny task is over sooner than memory comes.
inline void prefetch_task_after(const TaskObject* first) {
    if (first == nullptr) {
        return;
    }
    constexpr std::size_t kCacheLine = 64;
    const char* const memory = reinterpret_cast<const char*>(first->next);
    for (std::size_t offset = 0; offset < sizeof(TaskObject); offset += kCacheLine) {
        __builtin_prefetch(memory + offset, 1);
    }
}

/// Creates the type and adds it to `module`; -1 with an exception set on failure.
int add_task_type(PyObject* module);

/// A fresh task that will call function(*arguments) the way a vectorcall would: `positional`
/// values, then one for each of `keyword_names` (or null). Null with an exception set on failure.
TaskObject* new_task(PyTypeObject* type, PyObject* function, PyObject* const* arguments,
                     Py_ssize_t positional, PyObject* keyword_names);

/// Gives an untracked task its call. False if there is no room for so many arguments: then it has
/// none, and there is no exception.
bool store_call(TaskObject* task, PyObject* function, PyObject* const* arguments,
                Py_ssize_t positional, PyObject* keyword_names);

/// Drops function and arguments, keeping the name. May run any destructor.
void drop_call(TaskObject* task);

/// The name of the task: set by the user, or the function's. New reference.
PyObject* task_name(TaskObject* task);

/// The task that the calling thread runs, or null. Borrowed; no GIL needed.
TaskObject* current_task();

}  // namespace gilpool::bindings
