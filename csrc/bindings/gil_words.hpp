// bindings/gil_words.hpp: the interpreter's own words about the GIL, read without the GIL.
// Any thread; no lock. The words are not atomic to us, so an answer may be stale by one change.
//
// They are private to CPython and differ between versions, so nothing may depend on them: while
// gil_words_are_readable() is false, gil_holder() must not be asked, and whoever wants to know
// waits at the GIL instead.
#pragma once

#include <Python.h>

#include <cstdint>

namespace gilpool::bindings {

/// Whether the words can be believed on this interpreter. The first call, at import and with the
/// GIL held, finds and tries them: held must read as held by us, released as not. Later calls only
/// answer.
bool gil_words_are_readable();

/// From now on the words count as unreadable, for tests of what happens then. GIL held.
void distrust_gil_words();

/// The thread state that holds the GIL, or null if nobody does. Only for comparison: unless it is
/// the caller's own, it may be gone by now.
const PyThreadState* gil_holder();

/// Whether anybody has the GIL. Who has just got it, or is about to let it go, need not be told by
/// gil_holder() yet, or any more.
bool gil_is_locked();

/// How often the GIL has gone to another thread state than the one that had it before, since the
/// interpreter began.
unsigned long gil_switches();

/// Whether the futex at that address is one of the GIL's own: who sleeps there is about to take
/// the GIL, or amid letting it go.
bool is_futex_of_gil(std::uintptr_t address);

/// Whether it is, of these, one on which threads sleep until they can have the GIL.
bool is_queue_of_gil(std::uintptr_t address);

/// Makes `holder` let the GIL go as soon as it runs Python code, as a waiter does whose switch
/// interval is over. It then sleeps until another thread has had the GIL, so the caller must have
/// seen one that waits, in the queue of the GIL, after it has read gil_switches(). False, and
/// nothing is done, if the GIL has gone round since: that one may have had it. Or if another thread
/// holds it, or the switch interval is longer than usual: who set that does not want this.
bool ask_for_gil(const PyThreadState* holder, unsigned long switches);

/// What sys.setswitchinterval() does, for who has no GIL. Who waits for the GIL already goes on
/// with the interval that was set when the wait began.
void set_switch_interval_without_gil(unsigned long microseconds);

}  // namespace gilpool::bindings
