// bindings/bulk_items.cpp: a bulk's entry in its queue, and taking items out of it as Tasks. GIL
// held.
#include <utility>

#include "bindings/bulk.hpp"
#include "bindings/bulk_outcomes.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/silent_drop.hpp"
#include "bindings/task_type.hpp"
#include "bindings/wakeups.hpp"

namespace gilpool::bindings {

namespace {

// --- the entry in its queue ---

bool is_queued(const Bulk* bulk) {
    return bulk->entry->pool != nullptr;
}

void queue_entry(PoolObject* pool, Bulk* bulk) {
    bulk->entry->pool = as_pool(Py_NewRef(as_object(pool)));
    pool->queued.push_back(bulk->entry);
    ++bulk->references;
}

/// The entry has no items left. The caller holds the pool.
void unqueue_entry(PoolObject* pool, Bulk* bulk) {
    pool->queued.unlink(bulk->entry);
    bulk->entry->pool = nullptr;
    Py_DECREF(as_object(pool));
    release(bulk);
}

// --- items ---

/// Moves the next item out; null with an exception set for want of memory.
PyObject* take_item(Bulk* bulk) {
    if (bulk->items == nullptr) {
        return PyLong_FromLongLong(bulk->start + bulk->next * bulk->step);
    }
    PyObject* const item = PyList_GET_ITEM(bulk->items, bulk->next);
    PyList_SET_ITEM(bulk->items, bulk->next, nullptr);
    return item;
}

enum class AtHand : std::uint8_t { yes, made_just_now, no_memory };

/// Sees to it that there is a Task of the next item. Making one may run any code; an exception is
/// set if it is impossible.
AtHand see_to_upcoming(Bulk* bulk) {
    if (bulk->upcoming == nullptr) {
        TaskObject* const task = new_task(task_type, bulk->function, nullptr, 0, nullptr);
        if (task == nullptr) {
            return AtHand::no_memory;
        }
        if (bulk->upcoming != nullptr || (bulk->next == bulk->count && !bulk->open)) {
            Py_DECREF(as_object(task));
        } else {
            bulk->upcoming = task;
        }
        return AtHand::made_just_now;
    }
    TaskObject* const task = bulk->upcoming;
    if (task->positional == 0) {
        task->arguments[0] = take_item(bulk);
        task->positional = task->arguments[0] != nullptr ? 1 : 0;
    }
    return task->positional == 1 ? AtHand::yes : AtHand::no_memory;
}

/// The upcoming Task, which is complete, with a reference for the caller, in no list yet. Takes the
/// entry out of its queue with the last item.
TaskObject* take_upcoming(PoolObject* pool, Bulk* bulk) {
    TaskObject* const task = std::exchange(bulk->upcoming, nullptr);
    task->pool = as_pool(Py_NewRef(as_object(pool)));
    task->bulk = bulk;
    task->index = bulk->next++;
    task->state = TaskState::queued;
    ++bulk->references;
    if (bulk->next == bulk->count && !bulk->open) {
        Py_CLEAR(bulk->items);  // empty
    }
    if (bulk->next == bulk->allowed) {
        unqueue_entry(pool, bulk);
    }
    return task;
}

/// For want of memory the next item will never be called.
void lose_next_item(PoolObject* pool, Bulk* bulk) {
    Py_INCREF(as_object(pool));
    ++bulk->references;
    PyObject* const item = take_item(bulk);
    PyErr_Clear();
    note_end(bulk, bulk->next++, kLost);
    if (bulk->next == bulk->allowed) {
        unqueue_entry(pool, bulk);
        if (pool->queued.empty()) {
            unschedule(pool);
        }
    }
    task_left_pool(pool);
    Py_XDECREF(item);
    release(bulk);
    Py_DECREF(as_object(pool));
}

/// Gives up what an unknown item's Task had, and the Task if it is not to serve the next item.
/// Takes the references.
void let_go(Bulk* bulk, TaskObject* task, PyObject* item, PyObject* unwanted, PoolObject* pool) {
    if (bulk->upcoming == nullptr && (bulk->next < bulk->count || bulk->open)) {
        bulk->upcoming = task;
    } else {
        Py_DECREF(as_object(task));
    }
    Py_DECREF(item);
    Py_XDECREF(unwanted);
    Py_DECREF(as_object(pool));
    release(bulk);
}

}  // namespace

// --- the queue's part ---

bool allow_items(PoolObject* pool, Bulk* bulk, Py_ssize_t count) {
    const bool was_queued = is_queued(bulk);
    if (!was_queued) {
        queue_entry(pool, bulk);
    }
    bulk->allowed += count;
    if (!schedule(pool)) {
        bulk->allowed -= count;
        if (!was_queued) {
            unqueue_entry(pool, bulk);
            if (pool->queued.empty()) {
                unschedule(pool);
            }
        }
        return false;
    }
    take_slots(pool, count);
    pool->counters.spawned += static_cast<std::uint64_t>(count);
    return true;
}

bool can_take(PoolObject* pool) {
    TaskObject* const first = pool->queued.first;
    if (!first->stands_for_many) {
        return true;
    }
    Bulk* const bulk = first->bulk;
    ++bulk->references;
    const AtHand at_hand = see_to_upcoming(bulk);
    if (at_hand == AtHand::no_memory) {
        lose_next_item(pool, bulk);
    }
    release(bulk);
    return at_hand == AtHand::yes;
}

TaskObject* take_queued(PoolObject* pool) {
    TaskObject* const first = pool->queued.first;
    if (first->stands_for_many) {
        return take_upcoming(pool, first->bulk);
    }
    pool->queued.unlink(first);
    return first;
}

bool show_queued(PoolObject* pool) {
    TaskObject* each = pool->queued.first;
    while (each != nullptr) {
        if (!each->stands_for_many) {
            each = each->next;
            continue;
        }
        Bulk* const bulk = each->bulk;
        ++bulk->references;
        AtHand at_hand = AtHand::made_just_now;
        while (at_hand != AtHand::no_memory && bulk->entry->pool == pool) {
            at_hand = see_to_upcoming(bulk);
            if (at_hand == AtHand::yes) {
                TaskObject* const entry = bulk->entry;
                TaskObject* const before = entry->previous;
                pool->queued.insert_after(before, take_upcoming(pool, bulk));
            }
        }
        release(bulk);
        if (at_hand == AtHand::no_memory) {
            return false;
        }
        each = pool->queued.first;  // making Tasks may have changed everything
    }
    return true;
}

Py_ssize_t count_queued(const PoolObject* pool) {
    Py_ssize_t count = 0;
    for (const TaskObject* task = pool->queued.first; task != nullptr; task = task->next) {
        count += task->stands_for_many ? task->bulk->allowed - task->bulk->next : 1;
    }
    return count;
}

void forget_entry(TaskObject* entry) {
    Bulk* const bulk = entry->bulk;
    PoolObject* const pool = entry->pool;
    entry->pool = nullptr;
    for (; bulk->next < bulk->allowed; ++bulk->next) {
        task_left_pool(pool);
    }
    Py_DECREF(as_object(pool));
}

// --- the worker's part ---

bool is_unknown_item(const TaskObject* task) {
    return task->bulk != nullptr && Py_REFCNT(task) == 1 && task->weakrefs == nullptr &&
           task->links == nullptr && task->name == nullptr && task->trace_number == 0;
}

bool exchange_item(TaskObject* task, PyObject* value) {
    Bulk* const bulk = task->bulk;
    PyObject* const item = task->arguments[0];
    if (!is_unknown_item(task) || task->kill_with != nullptr || bulk->results == nullptr ||
        !goes_silently(item) || bulk->next + 1 >= bulk->allowed || bulk->upcoming != nullptr ||
        task->pool->queued.first != bulk->entry) {
        return false;
    }
    PyObject* const next = take_item(bulk);
    if (next == nullptr) {
        PyErr_Clear();
        return false;
    }
    note_end(bulk, task->index, as_outcome(value));
    task->index = bulk->next++;
    task->arguments[0] = next;
    Py_DECREF(item);
    task_left_pool(task->pool);
    return true;
}

void end_unknown_item(TaskObject* task, PyObject* value) {
    Bulk* const bulk = task->bulk;
    PoolObject* const pool = task->pool;
    PyObject* const item = task->arguments[0];
    task->bulk = nullptr;
    task->pool = nullptr;
    task->positional = 0;
    task->state = TaskState::fresh;
    PyObject* const unwanted = bulk->results == nullptr ? value : nullptr;
    note_end(bulk, task->index, as_outcome(value));
    task_left_pool(pool);
    if (goes_silently(item) && goes_silently(unwanted) && Py_REFCNT(pool) > 1 &&
        bulk->references > 1) {
        let_go(bulk, task, item, unwanted, pool);
    } else {
        const PromptWakeups prompt;
        let_go(bulk, task, item, unwanted, pool);
    }
}

void end_known_item(TaskObject* task) {
    Bulk* const bulk = std::exchange(task->bulk, nullptr);
    if (bulk->results != nullptr) {
        Py_INCREF(as_object(task));
    }
    note_end(bulk, task->index, as_outcome(task));
    release(bulk);
}

}  // namespace gilpool::bindings
