// bindings/courtesy.hpp: letting others have the GIL between two tasks, only if somebody wants it.
// Called with the GIL held.
//
// The primitive is a timed release. Letting go of the GIL signals its condition variable, which is
// no system call without a waiter (20-160 ns) and a futex wake with one (6 us and more). So whether
// anybody waits costs next to nothing to find out. A courtesy shorter than the waiter's way out of
// its sleep would starve it (each release restarts its patience; stalls of 100-350 ms were
// measured), so the GIL is not taken back before somebody else had it.
#pragma once

#include <Python.h>

#include <chrono>
#include <cstdint>

#include "core/clock.hpp"

namespace gilpool::bindings {

/// Between two tasks of an active runner, with more queued, while tasks compute: offers the GIL if
/// it has been held for a while since the last time.
void offer_gil_between_tasks(core::TimePoint now);

/// The same while tasks are believed to block, when the GIL goes round by itself: only if the
/// runner has had it for a switch interval, which tells that they do not. Regular courtesies were
/// pointless then (0.73 of the best pool on hashing tasks) and ruinous with thousands of sleepers.
void offer_gil_if_kept(core::TimePoint now);

/// The calling thread has just taken the GIL after a time without: counts anew from here.
void restart_courtesy_clock();

/// True while a runner offers the GIL: that it is free then does not mean that the runner blocked.
/// Any thread.
bool courtesy_is_open();

/// The calling thread has waited for the GIL only to let it go again at once.
void note_visit();

/// A thread that was woken up for the GIL had it after 18 / 41 / 56 us (p10 / p50 / p90).
inline constexpr std::chrono::microseconds kTakenWithin{150};

enum class Release {
    nobody_waited,  ///< and the caller still holds the GIL
    taken,          ///< the GIL is released and has been seen in other hands
    not_seen        ///< the GIL is released; somebody was woken but has not been seen to take it
};

/// Lets the GIL go if somebody waits for it, and does not return before they have taken it (within
/// limits). `state` is the caller's, for PyEval_RestoreThread.
Release release_to_waiter(PyThreadState** state);

struct CourtesyCounters {
    std::uint64_t offered = 0;   ///< timed releases
    std::uint64_t taken = 0;     ///< of these, used by somebody
    std::uint64_t lookouts = 0;  ///< windows in which a waiter about to come was awaited
};
const CourtesyCounters& courtesy_counters();

/// In a forked child.
void reset_courtesy();

}  // namespace gilpool::bindings
