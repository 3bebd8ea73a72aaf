// bindings/pool_slots.cpp: a pool's slots, its lists of tasks and the list of active pools. GIL
// held.
#include "bindings/pool_type.hpp"
#include "bindings/task_type.hpp"
#include "bindings/worker_threads.hpp"

namespace gilpool::bindings {

namespace {

PoolObject* g_first_active = nullptr;

void link_active(PoolObject* pool) {
    pool->active = true;
    pool->previous_active = nullptr;
    pool->next_active = g_first_active;
    if (g_first_active != nullptr) {
        g_first_active->previous_active = pool;
    }
    g_first_active = pool;
}

/// next_active stays readable, for a walk over the list that empties pools as it goes.
void unlink_active(PoolObject* pool) {
    pool->active = false;
    (pool->previous_active != nullptr ? pool->previous_active->next_active : g_first_active) =
        pool->next_active;
    if (pool->next_active != nullptr) {
        pool->next_active->previous_active = pool->previous_active;
    }
}

}  // namespace

void TaskList::push_back(TaskObject* task) {
    task->previous = last;
    task->next = nullptr;
    (last != nullptr ? last->next : first) = task;
    last = task;
}

void TaskList::unlink(TaskObject* task) {
    (task->previous != nullptr ? task->previous->next : first) = task->next;
    (task->next != nullptr ? task->next->previous : last) = task->previous;
    task->previous = nullptr;
    task->next = nullptr;
}

void TaskList::insert_after(TaskObject* place, TaskObject* task) {
    task->previous = place;
    task->next = place != nullptr ? place->next : first;
    (place != nullptr ? place->next : first) = task;
    (task->next != nullptr ? task->next->previous : last) = task;
}

PoolObject* first_active_pool() {
    return g_first_active;
}

bool is_full(const PoolObject* pool) {
    return pool->size >= 0 && pool->tracked - pool->lent >= pool->size;
}

void take_slot(PoolObject* pool) {
    take_slots(pool, 1);
}

void take_slots(PoolObject* pool, Py_ssize_t count) {
    pool->tracked += count;
    if (!pool->active) {
        link_active(pool);
    }
}

void return_slot(PoolObject* pool) {
    --pool->tracked;
    if (pool->line.first != nullptr) {
        serve_line(pool);
    }
    if (pool->tracked == 0 && pool->active) {
        unlink_active(pool);
        pool->empty_waiters.notify_all();
    }
}

void take_guest_slot(PoolObject* pool) {
    ++pool->guests;
    take_slot(pool);
}

void return_guest_slot(PoolObject* pool) {
    if (pool->guests > 0) {
        --pool->guests;
        return_slot(pool);
    }
}

void drop_guest_slots(PoolObject* pool) {
    while (pool->guests > 0) {
        return_guest_slot(pool);
    }
}

bool lend_own_slot() {
    TaskObject* const task = current_task();
    if (task == nullptr || task->pool == nullptr || task->lends_slot) {
        return false;
    }
    // A slot lent by an initializer would go to a worker that has to be initialized as well, by the
    // same code, which would lend it on, for as long as there are threads.
    if (is_initializing()) {
        return false;
    }
    task->lends_slot = true;
    ++task->pool->lent;
    serve_line(task->pool);
    return true;
}

void take_own_slot_back() {
    TaskObject* const task = current_task();  // its pool may be another one by now: see _discard
    task->lends_slot = false;
    --task->pool->lent;
}

void move_lent_slot(TaskObject* task, PoolObject* other) {
    if (task->lends_slot) {
        --task->pool->lent;
        task->lends_slot = other != nullptr;
        if (other != nullptr) {
            ++other->lent;
        }
    }
}

}  // namespace gilpool::bindings
