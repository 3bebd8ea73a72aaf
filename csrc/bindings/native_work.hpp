// bindings/native_work.hpp: what a Task does when no Python is needed for it (a kernel on a lane of
// the core, a wait on the reactor), and how its end comes back to Python, in batches.
// Called with the GIL held unless a comment says otherwise.
//
// A task with native work stands among its pool's running tasks, though no thread serves it. When
// the work is over it is put, by whatever thread and without the GIL, on one lock-free list; a
// single worker takes the GIL and delivers all that is on it, letting others have the GIL between
// batches.
//
// Work is prepared (its arguments converted and held) before its task stands in line for a slot;
// till it is started it belongs to the task.
//
// Invariant: work that has been started is delivered exactly once, unless end() said that it never
// will be. task->native and work->task point at each other or are null: a task that is killed
// before its work is over lets go of it, and the result is dropped at the delivery.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

struct TaskObject;

class NativeWork {
  public:
    NativeWork() = default;
    virtual ~NativeWork() = default;
    NativeWork(const NativeWork&) = delete;
    NativeWork& operator=(const NativeWork&) = delete;

    enum class Start {
        started,
        for_python,  ///< it cannot be done this way: the task is one for Python after all
        failed,      ///< nothing can carry it
    };

    /// Sets it going. `measured`: its task keeps times.
    virtual Start start(bool measured) = 0;

    /// Asks it to end early. True: it is over, or never began, and will not be delivered; the
    /// caller destroys it. False: it will be delivered, soon if it heeds.
    virtual bool end() = 0;

    /// After an end() that said false: sees to it that its task ends soon even if the work does
    /// not.
    virtual void limit_time() {}

    /// True if it occupies no thread, however long it takes.
    virtual bool is_wait() const { return false; }

    /// True while nothing has begun it.
    virtual bool is_queued() const { return false; }

    /// Hands the result to the task, if it still has one, and destroys the work. May run any
    /// destructor.
    virtual void deliver() = 0;

    TaskObject* task = nullptr;       ///< borrowed: the pool's list of running tasks holds it
    NativeWork* next_over = nullptr;  ///< in the list of what is to be delivered
};

/// Puts a chain, linked by next_over with the latest first, on the list. Any thread, no GIL needed.
void hand_over(NativeWork* latest, NativeWork* earliest) noexcept;

/// Gives a fresh task native work if its call is one that needs no Python. Not if the arguments are
/// bad: the call itself then says so. Converting them may run Python code.
void prepare_native_work(TaskObject* task);

/// Takes from a task the native work that has not been started, if it has such.
void drop_prepared_work(TaskObject* task);

/// Kills a task that has native work; takes the reference to `exception`. The task ends at once if
/// the work never began or can be taken back, else when the work has stopped, but after a limited
/// time in any case.
void kill_native(TaskObject* task, PyObject* exception);

/// In a forked child: what was to be delivered belongs to the parent.
void forget_native_work();

}  // namespace gilpool::bindings
