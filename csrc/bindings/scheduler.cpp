// bindings/scheduler.cpp: the ring of pools with work and the workers that serve it.
#include "bindings/scheduler.hpp"

#include <chrono>

#include "bindings/admission.hpp"
#include "bindings/bulk.hpp"
#include "bindings/courtesy.hpp"
#include "bindings/crew.hpp"
#include "bindings/gil.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_run.hpp"
#include "bindings/task_type.hpp"
#include "bindings/wakeups.hpp"
#include "bindings/worker_threads.hpp"
#include "core/clock.hpp"

namespace gilpool::bindings {

namespace {

/// Pools with queued tasks, served in turn. A pool is in the ring exactly while it has queued
/// tasks, which keep it alive.
struct Ring {
    PoolObject* first = nullptr;
    PoolObject* last = nullptr;

    void push_back(PoolObject* pool) {
        pool->ready = true;
        pool->previous_ready = last;
        pool->next_ready = nullptr;
        (last != nullptr ? last->next_ready : first) = pool;
        last = pool;
    }

    void unlink(PoolObject* pool) {
        (pool->previous_ready != nullptr ? pool->previous_ready->next_ready : first) =
            pool->next_ready;
        (pool->next_ready != nullptr ? pool->next_ready->previous_ready : last) =
            pool->previous_ready;
        pool->ready = false;
    }
};

/// How long workers of one crew may go on while pools wait whose tasks they cannot run.
constexpr std::chrono::milliseconds kTurn{1};

Ring g_ring;
constinit thread_local bool t_serving = false;

/// True if the pool whose turn it is has no task for workers of `crew`.
bool others_are_next(const Crew* crew) {
    return g_ring.first != nullptr && g_ring.first->crew.get() != crew;
}

/// The first pool in the ring whose tasks are for workers of `crew`, or null.
PoolObject* first_served_by(const Crew* crew) {
    PoolObject* pool = g_ring.first;
    while (pool != nullptr && pool->crew.get() != crew) {
        pool = pool->next_ready;
    }
    return pool;
}

/// The oldest task of the first pool that workers of `crew` serve, or null. A reference held by the
/// queue is passed on.
TaskObject* take_next(const Crew* crew) {
    PoolObject* pool = first_served_by(crew);
    while (pool != nullptr && !can_take(pool)) {
        pool = first_served_by(crew);
    }
    if (pool == nullptr) {
        return nullptr;
    }
    g_ring.unlink(pool);
    TaskObject* const task = take_queued(pool);
    prefetch_task_after(pool->queued.first);
    pool->running.push_back(task);
    if (!pool->queued.empty()) {
        g_ring.push_back(pool);
    }
    set_work_queued(g_ring.first != nullptr);
    return task;
}

void serve(void* crew);

/// Sees to it that a spare is on its way if there is work, one that may do what is next; false if
/// none can be had. A worker that is running a task serves the ring afterwards, so to it that is no
/// loss.
bool call_for_spare() {
    if (g_ring.first == nullptr) {
        return true;
    }
    if (!appoint_spare()) {
        hurry_spare();
        return true;
    }
    if (post_to_crew(g_ring.first, &serve)) {
        return true;
    }
    dismiss_spare();
    return serving_runners() > 0;
}

/// Runs task after task on the calling worker until nothing is queued for it, others do it better,
/// or it is the turn of pools that other workers serve: for a change of thread with every task
/// would cost more than the tasks, they take turns of some length.
void run_queue(Runner* runner, Crew* crew) {
    const core::TimePoint turn_ends = core::monotonic_now() + kTurn;
    while (TaskObject* const task = take_next(crew)) {
        if (crew != nullptr) {
            crew->begin_task();
        }
        call_for_spare();
        if (g_ring.first == nullptr) {
            wake_collected();  // nobody else would while this task runs
        }
        begin_task(runner);
        runner->clock.pass(run_task(task, runner, runner->clock.may_pass()));
        if (crew != nullptr) {
            crew->end_task();
        }
        if (!goes_on_after_task(runner) ||
            (others_are_next(crew) && core::monotonic_now() > turn_ends)) {
            break;
        }
    }
}

/// What a worker does for Python: becomes the runner, runs what is queued, lets the GIL go.
/// No destructor may stand in this frame: a thread that comes back from a task into a dying
/// interpreter is unwound through it without the GIL.
void serve(void* context) {
    Crew* const crew = static_cast<Crew*>(context);
    bool is_spare = true;
    t_serving = true;
    set_own_crew(crew);
    while (is_spare && come_in()) {
        Runner* const runner = own_runner();
        follow_thread_hooks();
        collect_wakeups(true);
        if (!others_are_next(crew)) {
            run_queue(runner, crew);
        }
        collect_wakeups(false);
        step_down(runner);
        // Before anybody is woken: a waiter that queues the next task at once must find the spare.
        if (others_are_next(crew)) {
            call_for_spare();
            is_spare = false;
        } else {
            is_spare = appoint_spare();
        }
        WorkerThreadState::detach();
        wake_collected();  // with the GIL free: who is woken wants it
    }
    // A spare that has resigned may have been relied upon: what was queued may have been cancelled.
    wake_collected();
    t_serving = false;
}

}  // namespace

bool schedule(PoolObject* pool) {
    if (!ensure_crew(pool)) {
        return false;
    }
    if (!pool->ready) {
        g_ring.push_back(pool);
        set_work_queued(true);
    }
    return call_for_spare();
}

bool worker_may_go_on(const Runner* runner, const PoolObject* pool) {
    return g_ring.first == pool && g_ring.last == pool && is_active(runner);
}

bool is_serving_thread() {
    return t_serving;
}

void unschedule(PoolObject* pool) {
    if (pool->ready) {
        g_ring.unlink(pool);
        set_work_queued(g_ring.first != nullptr);
    }
}

void reset_scheduler() {
    for (PoolObject* pool = g_ring.first; pool != nullptr; pool = pool->next_ready) {
        pool->ready = false;
    }
    g_ring = Ring{};
    reset_admission();
    forget_collected_wakeups();
    forget_crew_workers();
}

}  // namespace gilpool::bindings
