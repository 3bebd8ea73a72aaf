// bindings/computing.hpp: which tasks compute off the GIL (hashing, numpy): they use a core each.
//
// list_runner is called with the GIL held; cores_are_taken by the spare (there is one), without it.
// Starting more such tasks than there are cores only fills memory and thrashes caches, and the GIL,
// which is free all the while, does not stop it.
#pragma once

#include "bindings/runner.hpp"
#include "core/clock.hpp"

namespace gilpool::bindings {

/// Has the runner, which begins a task, looked at from now on.
void list_runner(Runner* runner);

/// True while as many tasks compute off the GIL as there are cores.
bool cores_are_taken(core::TimePoint now);

/// True if `state` belongs to one of the listed runners: the latest to begin a task. Any thread.
bool is_of_listed_runner(const PyThreadState* state);

/// In a forked child: the listed workers were other threads.
void forget_listed_runners();

}  // namespace gilpool::bindings
