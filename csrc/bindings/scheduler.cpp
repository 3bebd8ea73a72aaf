// bindings/scheduler.cpp: the ring of pools with work and the workers that serve it.
#include "bindings/scheduler.hpp"

#include <chrono>

#include "bindings/gil.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_run.hpp"
#include "bindings/task_type.hpp"
#include "bindings/worker_threads.hpp"
#include "core/clock.hpp"
#include "core/pool.hpp"

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

Ring g_ring;
/// How long a worker runs task after task before it offers the GIL: CPython's own switch interval.
constexpr std::chrono::milliseconds kSlice{5};

bool g_spare_is_coming = false;
unsigned long g_spares_arrived = 0;
constinit thread_local bool t_serving = false;
constinit thread_local std::int64_t t_gil_wait_ns = 0;
int g_serving = 0;  ///< workers between attach and detach in serve()

/// The oldest task of the pool whose turn it is, or null. A reference held by the queue is passed
/// on.
TaskObject* take_next() {
    PoolObject* const pool = g_ring.first;
    if (pool == nullptr) {
        return nullptr;
    }
    g_ring.unlink(pool);
    TaskObject* const task = pool->queued.pop_front();
    pool->running.push_back(task);
    if (!pool->queued.empty()) {
        g_ring.push_back(pool);
    }
    return task;
}

void serve(void*);

/// Sees to it that a worker is on its way if there is work; false if none can be had. A worker that
/// is running a task serves the ring afterwards, so to it that is no loss.
bool call_for_spare() {
    if (!g_spare_is_coming && g_ring.first != nullptr) {
        g_spare_is_coming = core::Pool::process().post(&serve, nullptr, core::Lane::blocking);
        return g_spare_is_coming || g_serving > 0;
    }
    return true;
}

/// Offers the GIL between two tasks. True if a spare came in meanwhile: it serves the queue now,
/// and two workers that take turns at the GIL only disturb each other.
bool was_relieved() {
    const unsigned long arrived_before = g_spares_arrived;
    offer_gil();
    return g_spares_arrived != arrived_before;
}

/// What a worker does for Python: takes the GIL, runs what is queued, lets the GIL go.
/// No destructor may stand in this frame: a thread that comes back from a task into a dying
/// interpreter is unwound through it without the GIL.
void serve(void*) {
    const core::TimePoint before = core::Clock::now();
    WorkerThreadState::attach();
    t_serving = true;
    t_gil_wait_ns = (core::Clock::now() - before).count();
    follow_thread_hooks();
    g_spare_is_coming = false;
    ++g_spares_arrived;
    ++g_serving;
    core::TimePoint slice_end = core::Clock::now() + kSlice;
    while (TaskObject* const task = take_next()) {
        call_for_spare();
        run_task(task);
        if (core::Clock::now() >= slice_end) {
            if (was_relieved()) {
                break;
            }
            slice_end = core::Clock::now() + kSlice;
        }
    }
    --g_serving;
    t_serving = false;
    WorkerThreadState::detach();
}

}  // namespace

bool schedule(PoolObject* pool) {
    if (!pool->ready) {
        g_ring.push_back(pool);
    }
    return call_for_spare();
}

bool is_serving_thread() {
    return t_serving;
}

std::int64_t last_gil_wait_ns() {
    return t_gil_wait_ns;
}

void unschedule(PoolObject* pool) {
    if (pool->ready) {
        g_ring.unlink(pool);
    }
}

void reset_scheduler() {
    for (PoolObject* pool = g_ring.first; pool != nullptr; pool = pool->next_ready) {
        pool->ready = false;
    }
    g_ring = Ring{};
    g_spare_is_coming = false;
    g_serving = current_task() != nullptr ? 1 : 0;  // the worker that forked, if it was one
}

}  // namespace gilpool::bindings
