// bindings/mailbox.hpp: gilpool._core.Mailbox, a queue that Python waits on: what is behind wait,
// iwait, joinall and the imaps. Every access to its items holds the GIL, which is their lock;
// waiting releases it.
//
// Its put is a C function that never blocks, so it serves as the link of a task: a completion costs
// no Python code, and a thousand of them wake a waiter once if it waits for a thousand.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

/// Creates the type and adds it to `module`; -1 with an exception set on failure.
int add_mailbox_type(PyObject* module);

/// True if `callback` is the put method of a mailbox.
bool is_mailbox_put(PyObject* callback);

}  // namespace gilpool::bindings
