// bindings/computing.hpp: what runners do that are off the GIL. Tasks that compute there (hashing,
// numpy) use a core each.
//
// list_runner is called with the GIL held; the looks are the spare's (there is one), without it.
// Starting more such tasks than there are cores only fills memory and thrashes caches, and the GIL,
// which is free all the while, does not stop it.
#pragma once

#include <cstdint>

#include "bindings/runner.hpp"
#include "core/clock.hpp"

namespace gilpool::bindings {

/// Has the runner, which begins a task, looked at from now on.
void list_runner(Runner* runner);

/// True while as many tasks compute off the GIL as there are cores.
bool cores_are_taken(core::TimePoint now);

/// The same, but for the runner, which has ended its task. GIL held; says what the spare saw last,
/// if that was just now.
bool others_take_the_cores(const Runner* runner, core::TimePoint now);

/// True if a listed runner of that term waits for the GIL or is about to, as it does for a moment
/// after the GIL was let go to it. Takes some 10 us, and 50-110 more if one is awake. Called by the
/// spare, while gil_waiters_are_visible() is true.
bool some_runner_wants_gil(std::uint64_t term);

/// True if `state` belongs to one of the listed runners: the latest to begin a task. Any thread.
bool is_of_listed_runner(const PyThreadState* state);

/// In a forked child: the listed workers were other threads.
void forget_listed_runners();

}  // namespace gilpool::bindings
