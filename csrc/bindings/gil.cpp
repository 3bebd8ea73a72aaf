// bindings/gil.cpp: the kept thread state of workers, and which thread is Python's main thread.
#include "bindings/gil.hpp"

#include <atomic>

#include "bindings/compat.hpp"
#include "bindings/departure.hpp"
#include "bindings/runner.hpp"
#include "bindings/task_run.hpp"
#include "bindings/task_storage.hpp"
#include "bindings/trace.hpp"
#include "bindings/visitors.hpp"
#include "bindings/worker_threads.hpp"
#include "core/native_thread.hpp"
#include "core/tiny_lock.hpp"

namespace gilpool::bindings {

namespace {

constinit thread_local PyThreadState* t_kept_state = nullptr;
constinit std::atomic<unsigned long> g_main_thread{0};

/// Held by a worker while it makes its thread state, and during a fork. To make one takes a lock of
/// the interpreter's, without the GIL, which up to CPython 3.11 a child waits for before it makes
/// it anew: for ever, if a thread that it does not have holds it (one child in 600 beside pools
/// that grow). Waited for without the GIL only; a worker that holds it waits for nothing.
constinit core::TinyLock g_births;
bool g_births_are_held = false;  // GIL

}  // namespace

void WorkerThreadState::attach() {
    if (t_kept_state == nullptr) {
        // It is bound to the thread: foreign code which calls PyGILState_Ensure here finds it.
        g_births.lock();
        PyThreadState* const state = PyThreadState_New(PyInterpreterState_Main());
        g_births.unlock();
        if (state == nullptr) {
            Py_FatalError("gilpool: no memory for a thread state");
        }
        PyEval_RestoreThread(state);
        t_kept_state = state;
        mark_as_worker();
        core::open_signals();
        register_worker_thread();
        trace_instant(TraceInstant::worker_started);
        return;
    }
    PyEval_RestoreThread(t_kept_state);
}

void WorkerThreadState::detach() {
    PyEval_SaveThread();
}

void WorkerThreadState::destroy() {
    // Past finalization there is nothing to give back: the interpreter has freed what it had.
    if (t_kept_state == nullptr || interpreter_is_finalizing() || !Py_IsInitialized()) {
        return;
    }
    const Departure departure;
    if (interpreter_is_finalizing()) {
        return;
    }
    PyEval_RestoreThread(t_kept_state);
    unregister_worker_thread();
    unmark_as_worker();
    forget_blank_context();
    while (release_some_task_storage()) {
        PyEval_RestoreThread(PyEval_SaveThread());
    }
    t_kept_state = nullptr;
    give_back_runner();
    leave_trace();
    PyThreadState_Clear(PyThreadState_Get());
    PyThreadState_DeleteCurrent();
}

void hold_births() {
    {
        const Released released;  // another thread, which forks as well, may hold them
        g_births.lock();
    }
    g_births_are_held = true;
}

void let_births_go_on() {
    if (g_births_are_held) {
        g_births_are_held = false;
        g_births.unlock();
    }
}

void forget_births() {
    g_births_are_held = false;  // the lock itself is of the parent's, and so counts as free
}

bool is_main_thread() {
    return PyThread_get_thread_ident() == g_main_thread.load();
}

void set_main_thread(unsigned long ident) {
    g_main_thread.store(ident);
}

}  // namespace gilpool::bindings
