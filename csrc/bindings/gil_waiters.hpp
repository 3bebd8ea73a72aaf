// bindings/gil_waiters.hpp: does a thread that is off the GIL wait for it, or for something else?
//
// Up to CPython 3.14 nothing in the interpreter says so. On Linux the kernel does: a sleeping
// thread's entry in procfs names the futex it sleeps on. Which one is the GIL's is found out by
// having a thread wait for it.
#pragma once

namespace gilpool::bindings {

/// Finds the GIL's futex; later calls only answer. False where it cannot be found, or procfs cannot
/// be read. GIL held; the first call lets it go for a moment.
bool gil_waiters_are_visible();

enum class Asleep : unsigned char {
    at_gil,     ///< until it gets the GIL
    elsewhere,  ///< for something else
    no          ///< it runs, or is about to
};

/// What the thread of that native id, one of this process, does. Takes some 10 us. Any thread, no
/// GIL needed; once gil_waiters_are_visible() is true.
Asleep look_where_asleep(int native_id);

}  // namespace gilpool::bindings
