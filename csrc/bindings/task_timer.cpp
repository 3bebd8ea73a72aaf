// bindings/task_timer.cpp: arming, delivery and cancelling of task timers.
#include "bindings/task_timer.hpp"

#include <atomic>

#include "bindings/compat.hpp"
#include "bindings/errors.hpp"
#include "bindings/gil.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_kill.hpp"
#include "bindings/task_run.hpp"
#include "bindings/task_type.hpp"
#include "core/fork.hpp"
#include "core/pool.hpp"
#include "core/reactor.hpp"

namespace gilpool::bindings {

namespace {

core::ReactorClient reactor_client();

}  // namespace

struct TaskTimer : core::TimedWait {
    TaskTimer() : core::TimedWait(reactor_client()) {}

    TaskObject* task = nullptr;     ///< a reference
    PoolObject* pool = nullptr;     ///< a reference
    TaskTimer* next_due = nullptr;  ///< in the list of what is due
    TaskTimer* previous = nullptr;  ///< in the list of all timers
    TaskTimer* next = nullptr;
};

namespace {

TaskTimer* g_timers = nullptr;           ///< all that exist; guarded by the GIL
std::atomic<TaskTimer*> g_due{nullptr};  ///< handed over by the reactor, last one first

void link_timer(TaskTimer* timer) {
    timer->next = g_timers;
    if (g_timers != nullptr) {
        g_timers->previous = timer;
    }
    g_timers = timer;
}

/// Forgets the timer; the caller has made sure that the reactor has, too.
void destroy_timer(TaskTimer* timer) {
    (timer->previous != nullptr ? timer->previous->next : g_timers) = timer->next;
    if (timer->next != nullptr) {
        timer->next->previous = timer->previous;
    }
    TaskObject* const task = timer->task;
    PoolObject* const pool = timer->pool;
    if (task->timer == timer) {
        task->timer = nullptr;
    }
    delete timer;
    Py_DECREF(as_object(task));
    Py_DECREF(as_object(pool));
}

/// A worker's job: starts what is due.
void deliver_due(void*) {
    WorkerThreadState::attach();
    TaskTimer* newest_first = g_due.exchange(nullptr);
    TaskTimer* timer = nullptr;
    while (newest_first != nullptr) {
        TaskTimer* const following = newest_first->next_due;
        newest_first->next_due = timer;
        timer = newest_first;
        newest_first = following;
    }
    // In a child that user's code forked here (a destructor, the conversion of an argument) there
    // is nothing to deliver: fail_inherited_timers() has seen to it.
    const std::uint32_t generation = core::fork_generation();
    while (timer != nullptr && generation == core::fork_generation()) {
        TaskTimer* const following = timer->next_due;
        TaskObject* const task = timer->task;
        if (task->state == TaskState::fresh && !start_task(timer->pool, task)) {
            PyObject* const error = take_raised_exception();
            kill_task(task, error);  // it is fresh, so it ends with the reason why it cannot start
        }
        if (generation == core::fork_generation()) {
            destroy_timer(timer);
        }
        timer = following;
    }
    WorkerThreadState::detach();
}

/// Runs on the reactor's thread, without the GIL. One job delivers all that comes until it begins.
void on_batch(core::TimedWait* first, void*) noexcept {
    if (first->result() == core::WaitEnd::broken) {
        return;  // a forked child: fail_inherited_timers() sees to them, with the GIL
    }
    TaskTimer* before = nullptr;
    while (first != nullptr) {
        auto* const timer = static_cast<TaskTimer*>(first);
        first = first->next();
        before = g_due.load();
        do {
            timer->next_due = before;
        } while (!g_due.compare_exchange_weak(before, timer));
        if (before == nullptr) {
            core::Pool::process().post(&deliver_due, nullptr, core::Lane::blocking);
        }
    }
}

core::ReactorClient reactor_client() {
    static const core::ReactorClient client =
        core::Reactor::process().add_client(&on_batch, nullptr);
    return client;
}

}  // namespace

bool start_task_later(PoolObject* pool, TaskObject* task, std::chrono::nanoseconds delay) {
    if (task->state != TaskState::fresh || task->timer != nullptr) {
        return true;  // as start(): a second one does nothing
    }
    if (exit_has_begun()) {
        PyErr_SetString(PyExc_RuntimeError, "cannot spawn later: the interpreter is shutting down");
        return false;
    }
    auto* const timer = new TaskTimer;
    timer->task = as_task(Py_NewRef(as_object(task)));
    timer->pool = as_pool(Py_NewRef(as_object(pool)));
    task->timer = timer;
    link_timer(timer);
    const core::TimePoint due = core::deadline_after(core::monotonic_now(), delay);
    if (core::Reactor::process().arm(*timer, due) == core::ArmResult::armed) {
        return true;
    }
    destroy_timer(timer);
    PyErr_SetString(PyExc_RuntimeError, "cannot spawn later: no thread can be started for timers");
    return false;
}

void cancel_timer(TaskObject* task) {
    TaskTimer* const timer = task->timer;
    if (timer != nullptr && core::Reactor::process().try_cancel(*timer)) {
        destroy_timer(timer);
    }
}

bool cancel_all_timers() {
    PyObject* const tasks = PyList_New(0);
    bool ok = tasks != nullptr;
    for (TaskTimer* timer = g_timers; ok && timer != nullptr; timer = timer->next) {
        ok = PyList_Append(tasks, as_object(timer->task)) == 0;
    }
    for (Py_ssize_t i = 0; ok && i < PyList_GET_SIZE(tasks); ++i) {
        TaskObject* const task = as_task(PyList_GET_ITEM(tasks, i));
        PyObject* const exit = PyObject_CallNoArgs(error_types.task_exit);
        ok = exit != nullptr;
        if (ok && task->state == TaskState::fresh) {
            kill_task(task, exit);
        } else {
            Py_XDECREF(exit);
        }
    }
    Py_XDECREF(tasks);
    return ok;
}

void fail_inherited_timers() {
    g_due.store(nullptr);
    while (g_timers != nullptr) {
        TaskTimer* const timer = g_timers;
        g_timers = timer->next;
        TaskObject* const task = timer->task;
        task->timer = nullptr;
        if (task->state == TaskState::fresh) {
            adopt(timer->pool, task);
            fail_inherited_task(task);  // takes the timer's reference; the rest is leaked
        }
    }
}

}  // namespace gilpool::bindings
