// bindings/gil_waiters.hpp: does a thread that is off the GIL wait for it, or for something else?
// Any thread; no GIL, no lock.
//
// Up to CPython 3.14 nothing in the interpreter says so. On Linux the kernel does: a sleeping
// thread's entry in procfs names the futex it sleeps on, and the GIL's lie within its own struct.
#pragma once

namespace gilpool::bindings {

/// False where procfs does not show it, or where the GIL's futexes are not known.
bool gil_waiters_are_visible();

enum class Asleep : unsigned char {
    at_gil,     ///< until it gets the GIL
    elsewhere,  ///< for something else
    no          ///< it runs, or is about to
};

/// What the thread of that native id, one of this process, does. Takes some 10 us. Only while
/// gil_waiters_are_visible() is true.
Asleep look_where_asleep(int native_id);

}  // namespace gilpool::bindings
