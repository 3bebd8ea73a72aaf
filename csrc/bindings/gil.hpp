// bindings/gil.hpp: every transition between holding and not holding the GIL.
//
// Up to CPython 3.13.7 taking the GIL in a dying interpreter unwinds the thread (pthread_exit),
// later ones block it for ever. So whatever takes the GIL here is noexcept(false), and no lock of
// ours is held across it.
#pragma once

#include <Python.h>

#include <cstdint>

#include "bindings/trace.hpp"

namespace gilpool::bindings {

/// Lets the GIL go for a scope. Made and destroyed by a thread that holds it.
class Released {
  public:
    Released() : state_(PyEval_SaveThread()), since_(trace_let_go()) {}
    ~Released() noexcept(false) { take_gil_back(state_, since_); }
    Released(const Released&) = delete;
    Released& operator=(const Released&) = delete;

  private:
    PyThreadState* state_;
    std::int64_t since_;  ///< 0: in no trace
};

/// Before a fork, GIL held, released while this waits: no worker makes its thread state until
/// let_births_go_on() in the parent.
void hold_births();
void let_births_go_on();

/// In a forked child.
void forget_births();

/// The thread state of a native worker: made at its first attach, kept until the worker ends (a
/// fresh one for every attach costs 250-450 ns, a kept one 42-61 ns).
class WorkerThreadState {
  public:
    /// Takes the GIL on this worker.
    static void attach();

    /// Lets the GIL go; the thread state stays.
    static void detach();

    /// Takes the GIL a last time and destroys the thread state, if there is one. A
    /// core::ThreadHooks::on_exit.
    static void destroy();
};

/// True on the thread in which Python runs signal handlers.
bool is_main_thread();

/// Remembers the calling thread as the main thread: at import (by its ident) and in a forked child.
void set_main_thread(unsigned long ident);

}  // namespace gilpool::bindings
