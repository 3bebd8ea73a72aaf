// bindings/gil_waiters.hpp: does a thread that is off the GIL wait for it, or for something else?
// Any thread; no GIL, no lock.
//
// Up to CPython 3.14 nothing in the interpreter says so. On Linux the kernel does: a sleeping
// thread's entry in procfs names the futex it sleeps on, and the GIL's lie within its own struct.
#pragma once

#include <cstddef>
#include <span>

namespace gilpool::bindings {

/// False where procfs does not show it, or where the GIL's futexes are not known.
bool gil_waiters_are_visible();

enum class Asleep : unsigned char {
    in_queue,   ///< until it can have the GIL
    at_gil,     ///< amid taking it, or letting it go
    elsewhere,  ///< for something else
    no          ///< it runs, or is about to
};

inline bool is_for_gil(Asleep asleep) {
    return asleep == Asleep::in_queue || asleep == Asleep::at_gil;
}

/// What the thread of that native id, one of this process, does. Takes some 10 us. Only while
/// gil_waiters_are_visible() is true.
Asleep look_where_asleep(int native_id);

/// Writes the native ids of threads of this process that are in the queue for the GIL into `found`
/// and returns how many; looks at the oldest threads only, and not at those that `is_passed_over`.
std::size_t find_in_queue(std::span<int> found, bool (*is_passed_over)(int native_id));

}  // namespace gilpool::bindings
