// bindings/lifecycle.cpp: the exit and fork hooks.
#include "bindings/lifecycle.hpp"

#include <chrono>

#include "bindings/compat.hpp"
#include "bindings/crew.hpp"
#include "bindings/departure.hpp"
#include "bindings/gil.hpp"
#include "bindings/native_work.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/task_timer.hpp"
#include "bindings/task_type.hpp"
#include "bindings/trace.hpp"
#include "bindings/trace_observer.hpp"
#include "core/pool.hpp"
#include "core/reactor.hpp"

namespace gilpool::bindings {

namespace {

/// How long exit waits for workers that have nothing to run, or whose sleep has just been stopped.
/// Only a thread stuck in foreign code uses it up.
constexpr std::chrono::milliseconds kWorkersEndWithin{250};

/// A fork waits this long for idle workers to go. One that is late costs a warning of CPython 3.12+
/// about forking with threads, nothing else.
constexpr std::chrono::milliseconds kIdleWorkersGoWithin{500};

bool g_exit_has_begun = false;
bool g_spawning_is_over = false;
bool g_workers_are_gone = false;

PoolObject* first_pool_to_wait_for() {
    PoolObject* pool = first_active_pool();
    while (pool != nullptr && pool->daemon) {
        pool = pool->next_active;
    }
    return pool;
}

/// Asks what runs in every pool to stop, and ends what is queued. Ending a task may run any
/// destructor, so the list of pools is taken down first. False with an exception set on failure.
bool cut_short_all_pools() {
    PyObject* const pools = PyList_New(0);
    bool ok = pools != nullptr;
    for (PoolObject* pool = first_active_pool(); ok && pool != nullptr; pool = pool->next_active) {
        ok = PyList_Append(pools, reinterpret_cast<PyObject*>(pool)) == 0;
    }
    for (Py_ssize_t i = 0; ok && i < PyList_GET_SIZE(pools); ++i) {
        auto* const pool = reinterpret_cast<PoolObject*>(PyList_GET_ITEM(pools, i));
        ok = stop_running(pool) && cancel_queued(pool);
    }
    Py_XDECREF(pools);
    return ok;
}

/// finish(): the exit hook.
PyObject* finish(PyObject*, PyObject*) {
    g_exit_has_begun = true;
    // In a child that a task forked this is the task's own thread (multiprocessing ends its
    // children so): who waited for the task here would wait for himself.
    if (TaskObject* const own = current_task()) {
        move_task(own, pool_of_the_set_aside());
    }
    bool ok = cancel_all_timers();
    while (ok) {
        PoolObject* const pool = first_pool_to_wait_for();
        if (pool == nullptr) {
            break;
        }
        Py_INCREF(reinterpret_cast<PyObject*>(pool));
        ok = join_pool(pool, core::kNever) != JoinResult::raised;
        Py_DECREF(reinterpret_cast<PyObject*>(pool));
    }
    // Reached also after Ctrl-C during the wait: then every pool is treated as a daemon.
    g_spawning_is_over = true;
    PyObject* const interruption = ok ? nullptr : take_raised_exception();
    if (!cut_short_all_pools()) {
        PyErr_WriteUnraisable(nullptr);
    }
    g_workers_are_gone = true;
    const core::TimePoint deadline = core::monotonic_now() + kWorkersEndWithin;
    shut_down_crews(deadline);
    {
        const Released released;
        core::Reactor::process().shutdown();
        core::Pool::process().shutdown(deadline);
    }
    if (interruption != nullptr) {
        raise_exception(interruption);
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* end_idle_workers(PyObject*, PyObject*) {
    pause_observer();
    const core::TimePoint deadline = core::monotonic_now() + kIdleWorkersGoWithin;
    quiesce_crews(deadline);
    {
        const Released released;
        core::Pool::process().quiesce(deadline);
    }
    Py_RETURN_NONE;
}

PyObject* before_fork(PyObject* self, PyObject* none) {
    PyObject* const result = end_idle_workers(self, none);
    hold_births();
    return result;
}

PyObject* after_fork_in_parent(PyObject*, PyObject*) {
    let_births_go_on();
    Py_RETURN_NONE;
}

PyObject* after_fork_in_child(PyObject*, PyObject*) {
    set_main_thread(PyThread_get_thread_ident());
    forget_births();
    forget_trace();
    reset_scheduler();
    forget_departures();
    forget_native_work();
    fail_inherited_timers();
    fail_inherited_tasks();
    Py_RETURN_NONE;
}

PyObject* set_main_thread_ident(PyObject*, PyObject* ident) {
    const unsigned long value = PyLong_AsUnsignedLong(ident);
    if (PyErr_Occurred() != nullptr) {
        return nullptr;
    }
    set_main_thread(value);
    Py_RETURN_NONE;
}

PyMethodDef lifecycle_functions[] = {
    {"_finish", finish, METH_NOARGS,
     "_finish()\n--\n\nExit hook: run what is queued, then end the workers."},
    {"_end_idle_workers", end_idle_workers, METH_NOARGS,
     "_end_idle_workers()\n--\n\nWait until they have ended."},
    {"_before_fork", before_fork, METH_NOARGS,
     "_before_fork()\n--\n\nFork hook: end the idle workers, and let no new one make its thread "
     "state."},
    {"_after_fork_in_parent", after_fork_in_parent, METH_NOARGS,
     "_after_fork_in_parent()\n--\n\nFork hook: go on."},
    {"_after_fork_in_child", after_fork_in_child, METH_NOARGS,
     "Fork hook: begin anew; what the parent runs or has queued fails here."},
    {"_set_main_thread", set_main_thread_ident, METH_O,
     "_set_main_thread(ident, /)\n--\n\nSay which thread runs signal handlers."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool exit_has_begun() {
    return g_exit_has_begun;
}

bool spawning_is_over() {
    return g_spawning_is_over;
}

bool workers_are_gone() {
    return g_workers_are_gone;
}

int add_lifecycle(PyObject* module) {
    core::Pool::process().set_thread_hooks({.on_exit = &WorkerThreadState::destroy});
    return PyModule_AddFunctions(module, lifecycle_functions);
}

}  // namespace gilpool::bindings
