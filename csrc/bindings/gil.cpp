// bindings/gil.cpp: the kept thread state of workers, and which thread is Python's main thread.
#include "bindings/gil.hpp"

#include <atomic>
#include <chrono>
#include <thread>

#include "bindings/compat.hpp"
#include "bindings/worker_threads.hpp"
#include "core/clock.hpp"

namespace gilpool::bindings {

namespace {

struct KeptState {
    PyGILState_STATE token{};
    PyThreadState* state = nullptr;
};

constinit thread_local KeptState t_kept{};
constinit std::atomic<unsigned long> g_main_thread{0};

}  // namespace

void WorkerThreadState::attach() {
    if (t_kept.state == nullptr) {
        // Ensure makes the thread state and binds it, so that foreign code which calls
        // PyGILState_Ensure on this thread finds the same one.
        t_kept.token = PyGILState_Ensure();
        t_kept.state = PyThreadState_Get();
        register_worker_thread();
        return;
    }
    PyEval_RestoreThread(t_kept.state);
}

void WorkerThreadState::detach() {
    PyEval_SaveThread();
}

void WorkerThreadState::destroy() {
    // Past finalization there is nothing to give back: the interpreter has freed what it had.
    if (t_kept.state == nullptr || interpreter_is_finalizing() || !Py_IsInitialized()) {
        return;
    }
    PyEval_RestoreThread(t_kept.state);
    unregister_worker_thread();
    t_kept.state = nullptr;
    PyGILState_Release(t_kept.token);
}

void offer_gil() {
    // Letting go takes 20-160 ns when nobody waits and more than 6 us when somebody has to be
    // woken.
    constexpr std::chrono::nanoseconds kWokeSomebody{1'500};
    // A woken thread runs within 20-60 us; to take the GIL back sooner would send it to sleep
    // again.
    constexpr std::chrono::microseconds kTakenWithin{60};
    const auto before = core::Clock::now();
    PyThreadState* const state = PyEval_SaveThread();
    if (core::Clock::now() - before > kWokeSomebody) {
        std::this_thread::sleep_for(kTakenWithin);
    }
    PyEval_RestoreThread(state);
}

bool is_main_thread() {
    return PyThread_get_thread_ident() == g_main_thread.load();
}

void set_main_thread(unsigned long ident) {
    g_main_thread.store(ident);
}

}  // namespace gilpool::bindings
