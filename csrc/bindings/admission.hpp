// bindings/admission.hpp: who may run Python tasks now: the runner, the spare behind it, and how
// one takes over from the other. What is called with the GIL says so.
//
// Words: a *runner* is a worker that serves the queue. It is *active* while it is believed to hold
// or want the GIL; once another one has taken over, or it waits in our own API, it is not, until it
// has finished its task. The *spare* is the one worker on its way to run the next task, or looking
// whether it may. Nobody else of ours contends for the GIL.
//
// Invariant: there is at most one spare. Who queues work sees to it, under the GIL, that there is
// one (appoint_spare); a spare that finds nothing to do resigns first and looks at the queue once
// more afterwards, so either it sees the work or the other one sees that there is no spare.
#pragma once

#include <Python.h>

#include <cstdint>

#include "bindings/runner.hpp"

namespace gilpool::bindings {

/// Tells spares whether anything is queued. GIL held.
void set_work_queued(bool queued);
bool work_is_queued();

/// Makes the worker that is about to be posted the spare; false if there is one already. GIL held
/// unless the caller is to be the spare itself.
bool appoint_spare();

/// Takes an appointment back: no worker could be had. GIL held.
void dismiss_spare();

/// Lets a spare that naps look at once if no runner is active. GIL held.
void hurry_spare();

/// What the spare does: waits until it may run tasks. True: it holds the GIL, is an active runner
/// and no longer the spare. False: it has resigned, without the GIL, because nothing is queued.
/// Called without the GIL. No destructor may stand in its frames: taking the GIL may unwind them.
bool come_in();

/// Notes that `runner` begins a task. GIL held.
void begin_task(Runner* runner);

/// True while no other one has taken over from `runner`. GIL held.
bool is_active(const Runner* runner);

/// Notes that it has finished one and says whether it takes the next. GIL held.
bool goes_on_after_task(Runner* runner);

/// Ends the role of `runner`: nothing is queued, or another one does it. GIL held.
void step_down(Runner* runner);

/// The calling thread is about to wait in our own API: if it is an active runner, the next one
/// need not find out. GIL held.
void lend_runner_role();

/// How many runners hold or want the GIL, as far as is known. No GIL needed.
int active_runners();

/// How many runners there are, blocked ones too. No GIL needed.
int serving_runners();

/// How long the calling worker waited for the GIL when it last came in.
std::int64_t last_gil_wait_ns();

/// In a forked child: no spare and no runner but the calling thread, if it was one.
void reset_admission();

/// Counts of what happened, for gilpool.stats() and benchmarks. Written under the GIL or by the
/// spare.
struct AdmissionCounters {
    std::uint64_t quick = 0;         ///< spares that got the GIL quickly: the runner had blocked
    std::uint64_t polled = 0;        ///< spares that came because they saw the GIL free
    std::uint64_t doubted = 0;       ///< looks at a free GIL that a runner was about to take
    std::uint64_t beside_other = 0;  ///< came because a thread not ours kept the GIL
    std::uint64_t late = 0;          ///< got it late, but the runner had blocked after all
    std::uint64_t forced = 0;        ///< spares that handed back: the runner wanted to go on
    std::uint64_t gifts = 0;         ///< of these, during a courtesy
    std::uint64_t admitted = 0;      ///< further runners let in beside a long task
    std::uint64_t throttled = 0;     ///< looks at which computing tasks used up the cores
    std::uint64_t continued = 0;     ///< workers back from blocking that took the next task
    std::uint64_t parked = 0;        ///< workers back from blocking that did not
};
const AdmissionCounters& admission_counters();

/// The mode estimate, 0 (tasks compute) to 1 (tasks block).
float blocking_estimate();

}  // namespace gilpool::bindings
