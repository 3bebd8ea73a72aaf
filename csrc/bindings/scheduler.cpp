// bindings/scheduler.cpp: the ring of pools with work and the workers that serve it.
#include "bindings/scheduler.hpp"

#include "bindings/gil.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_type.hpp"
#include "core/pool.hpp"

namespace gilpool::bindings {

namespace {

/// Pools with queued tasks, served in turn; each is in the ring once and is kept alive by its tasks.
struct Ring {
    PoolObject* first = nullptr;
    PoolObject* last = nullptr;

    void push_back(PoolObject* pool) {
        pool->ready = true;
        pool->next_ready = nullptr;
        (last != nullptr ? last->next_ready : first) = pool;
        last = pool;
    }

    PoolObject* pop_front() {
        PoolObject* const pool = first;
        first = pool->next_ready;
        if (first == nullptr) {
            last = nullptr;
        }
        pool->ready = false;
        return pool;
    }
};

Ring g_ring;
bool g_spare_is_coming = false;
int g_serving = 0;  ///< workers between attach and detach in serve()

/// The oldest task of the pool whose turn it is, or null. A reference held by the queue is passed on.
TaskObject* take_next() {
    while (g_ring.first != nullptr) {
        PoolObject* const pool = g_ring.pop_front();
        TaskObject* const task = pool->queued.pop_front();
        if (task != nullptr) {
            pool->running.push_back(task);
        }
        if (!pool->queued.empty()) {
            g_ring.push_back(pool);
        }
        if (task != nullptr) {
            return task;
        }
    }
    return nullptr;
}

void serve(void*);

/// Sees to it that a worker is on its way if there is work; false if none can be had. A worker that is
/// running a task serves the ring afterwards, so to it that is no loss.
bool call_for_spare() {
    if (!g_spare_is_coming && g_ring.first != nullptr) {
        g_spare_is_coming = core::Pool::process().post(&serve, nullptr, core::Lane::blocking);
        return g_spare_is_coming || g_serving > 0;
    }
    return true;
}

/// What a worker does for Python: takes the GIL, runs what is queued, lets the GIL go.
/// No destructor may stand in this frame: a thread that comes back from a task into a dying interpreter is
/// unwound through it without the GIL.
void serve(void*) {
    WorkerThreadState::attach();
    g_spare_is_coming = false;
    ++g_serving;
    while (TaskObject* const task = take_next()) {
        call_for_spare();
        run_task(task);
    }
    --g_serving;
    WorkerThreadState::detach();
}

}  // namespace

bool schedule(PoolObject* pool) {
    if (!pool->ready) {
        g_ring.push_back(pool);
    }
    return call_for_spare();
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
