// bindings/crew.hpp: the workers that a pool with an initializer has for itself. GIL held, but for
// what says otherwise.
//
// A crew is a core::Pool of its own, so its threads are made, reused and counted like all others,
// but they bear the pool's name, run its initializer first and its tasks only, and keep what the
// initializer gave them (thread-locals, connections) for as long as the pool lives: they do not
// retire when idle, only with the pool, at exit, and before a fork. Which of them may run when is
// for the same admission to say as for everybody else's tasks.
//
// At most as many threads as the pool has slots exist; one more for each task that lends its slot.
//
// Invariant: whoever is sent for comes. The worker sent for is the spare of the whole process (see
// admission.hpp), so all pools would stand still until one of a crew that is busy came back. What
// has been queued may begin though more tasks run than there are slots: it was queued in the slot
// of a task that has taken it back since, of one that was discarded, or before the pool shrank. So
// there may always be one thread more than are running tasks.
#pragma once

#include <Python.h>

#include <atomic>
#include <memory>
#include <string>

#include "core/clock.hpp"
#include "core/pool.hpp"

namespace gilpool::bindings {

struct PoolObject;

class Crew {
  public:
    explicit Crew(std::string name);

    core::Pool& workers() { return workers_; }

    /// The name of its next thread.
    std::string next_thread_name();

    /// How many of its workers are running a task.
    int busy() const { return busy_; }
    void begin_task() { ++busy_; }
    void end_task() { --busy_; }

    /// In a forked child: the workers are the parent's, but for the one that forked, if it was.
    void forget_workers(bool forked_by_one) { busy_ = forked_by_one ? 1 : 0; }

  private:
    const std::string name_;
    std::atomic<unsigned> threads_named_{0};
    int busy_ = 0;
    core::Pool workers_;
};

/// Makes the crew of a pool that needs one and has none yet; false if memory ran out.
bool ensure_crew(PoolObject* pool);

/// Has `function(crew)` called on a worker of `pool`'s crew, or (crew null) on one of those that
/// pools share. False if there is none and none can be made.
bool post_to_crew(PoolObject* pool, core::Pool::Function function);

/// The pool goes: its workers end, soon, and not on this thread.
void dismiss_crew(PoolObject* pool);

/// Says which crew the calling worker belongs to, null: none. No GIL needed.
void set_own_crew(Crew* crew);
Crew* own_crew();

/// In a forked child: no crew has workers but, if it belongs to one, the calling thread.
void forget_crew_workers();

/// Adds the threads of every crew to `stats`.
void add_crews_to(core::PoolStats& stats);

/// Ends, GIL released, the idle workers of every crew: before a fork.
void quiesce_crews(core::TimePoint deadline);

/// Ends, GIL released, every crew: at exit.
void shut_down_crews(core::TimePoint deadline);

}  // namespace gilpool::bindings
