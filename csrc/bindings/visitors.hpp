// bindings/visitors.hpp: threads that are not ours and come for the GIL again and again, each time
// for a moment: whether one waits for it, and a word in its favour with a runner that keeps it.
//
// A runner leaves a task at its end only, and a waiter gets the GIL in the middle of one after a
// whole switch interval (5 ms). To serve a visitor costs the runner less than a tenth of a
// millisecond, so it need not wait for so long: the spare, which looks about without the GIL, asks
// the runner for it. A thread that keeps the GIL it was given is none, and waits like any other.
#pragma once

#include <chrono>
#include <cstdint>

#include "core/clock.hpp"

namespace gilpool::bindings {

/// The calling thread is a worker of ours; the second: no longer. No GIL needed.
void mark_as_worker();
void unmark_as_worker();

/// Looks whether a visitor waits, and for long enough that the GIL is to be asked for. Returns when
/// to look again. For the spare, while a runner keeps the GIL.
std::chrono::nanoseconds attend_visitors(core::TimePoint now);

/// A thread that is not ours was seen to have the GIL: if it was asked for, that one keeps it. For
/// the spare.
void note_foreign_holder();

/// The GIL was asked for and nobody else has had it since: if it is free, it waits for the visitor
/// to come for it, and the runner for its turn after that. For the spare.
bool gil_is_promised_to_visitor();

/// How often the GIL was asked for. Any thread.
std::uint64_t pleas_for_visitors();

/// In a forked child, in which all workers but the calling thread have gone.
void forget_visitors();

}  // namespace gilpool::bindings
