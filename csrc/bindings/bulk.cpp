// bindings/bulk.cpp: taking items out, making Tasks of them, and what became of them.
//
// An outcome is a word: 0 while the item is not over, the value, the Task with its lowest bit set
// (somebody knows it, or it has failed), or kLost.
#include "bindings/bulk.hpp"

#include <new>
#include <utility>

#include "bindings/compat.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/task_methods.hpp"
#include "bindings/task_type.hpp"
#include "bindings/waiting.hpp"

namespace gilpool::bindings {

namespace {

constexpr std::uintptr_t kPending = 0;
constexpr std::uintptr_t kTaskBit = 1;
/// There was no memory for a Task, nor for the item.
constexpr std::uintptr_t kLost = 2;
constexpr Py_ssize_t kAll = -1;

std::uintptr_t as_outcome(PyObject* value) {
    return reinterpret_cast<std::uintptr_t>(value);
}
std::uintptr_t as_outcome(TaskObject* task) {
    return reinterpret_cast<std::uintptr_t>(task) | kTaskBit;
}
bool is_task(std::uintptr_t outcome) {
    return (outcome & kTaskBit) != 0;
}
PyObject* as_value(std::uintptr_t outcome) {
    return reinterpret_cast<PyObject*>(outcome);
}
TaskObject* task_in(std::uintptr_t outcome) {
    return reinterpret_cast<TaskObject*>(outcome & ~kTaskBit);
}

/// May run any destructor.
void drop_outcomes(Bulk* bulk) {
    PyObject* const results = std::exchange(bulk->results, nullptr);
    std::uintptr_t* const outcomes = std::exchange(bulk->outcomes, nullptr);
    for (Py_ssize_t i = 0; results != nullptr && i < PyList_GET_SIZE(results); ++i) {
        const std::uintptr_t outcome = std::exchange(outcomes[i], kPending);
        if (outcome != kPending && outcome != kLost) {
            Py_DECREF(is_task(outcome) ? as_object(task_in(outcome)) : as_value(outcome));
        }
    }
    Py_XDECREF(results);
}

/// May run any destructor.
void release(Bulk* bulk) {
    if (--bulk->references > 0) {
        return;
    }
    drop_outcomes(bulk);
    Py_XDECREF(bulk->items);
    if (bulk->upcoming != nullptr) {
        Py_DECREF(as_object(bulk->upcoming));
    }
    Py_DECREF(as_object(bulk->entry));
    Py_DECREF(bulk->function);
    bulk->~Bulk();
    PyMem_Free(bulk);
}

/// An item is over; an outcome that is no value may be an error that the mapper has to raise.
void note_end(Bulk* bulk, Py_ssize_t index, std::uintptr_t outcome) {
    if (bulk->results != nullptr) {
        bulk->outcomes[index] = outcome;
    }
    --bulk->left;
    const bool is_value = !is_task(outcome) && outcome != kLost;
    bulk->even = bulk->even && is_value;
    if ((bulk->left == 0 || bulk->awaited == index || (bulk->awaited == kAll && !is_value)) &&
        !bulk->mapper.empty()) {
        bulk->mapper.notify_all();
    }
}

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
        if (bulk->upcoming != nullptr || bulk->next == bulk->count) {
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
    if (bulk->next == bulk->count) {
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

/// True if to drop a reference to it runs no code of anybody's.
bool goes_silently(PyObject* item) {
    return Py_REFCNT(item) > 1 || PyLong_CheckExact(item) || PyFloat_CheckExact(item) ||
           PyUnicode_CheckExact(item) || PyBytes_CheckExact(item);
}

/// True if `range` counts in numbers of C: which then need not be held.
bool read_range(PyObject* range, long long* start, long long* step, Py_ssize_t* count) {
    for (const auto& [name, number] : {std::pair("start", start), std::pair("step", step)}) {
        PyObject* const value = PyObject_GetAttrString(range, name);
        int overflow = 0;
        *number = value != nullptr ? PyLong_AsLongLongAndOverflow(value, &overflow) : 0;
        Py_XDECREF(value);
        if (overflow != 0 || PyErr_Occurred() != nullptr) {
            PyErr_Clear();
            return false;
        }
    }
    *count = PyObject_Size(range);
    if (*count < 0) {
        PyErr_Clear();
        return false;
    }
    long long way = 0;
    long long end = 0;
    return !__builtin_mul_overflow(*count, *step, &way) &&
           !__builtin_add_overflow(*start, way, &end);
}

}  // namespace

// --- the mapper's part ---

Bulk* new_bulk(PyObject* function, PyObject* iterable) {
    long long start = 0;
    long long step = 0;
    Py_ssize_t count = 0;
    const bool counts =
        Py_IS_TYPE(iterable, &PyRange_Type) && read_range(iterable, &start, &step, &count);
    PyObject* const items = counts ? nullptr : PySequence_List(iterable);
    count = items != nullptr ? PyList_GET_SIZE(items) : count;
    TaskObject* const entry =
        counts || items != nullptr ? new_task(task_type, function, nullptr, 0, nullptr) : nullptr;
    PyObject* const results = entry != nullptr ? PyList_New(count) : nullptr;
    void* const memory = results != nullptr ? PyMem_Malloc(sizeof(Bulk)) : nullptr;
    if (memory == nullptr) {
        PyErr_NoMemory();
        Py_XDECREF(results);
        Py_XDECREF(entry != nullptr ? as_object(entry) : nullptr);
        Py_XDECREF(items);
        return nullptr;
    }
    // Nobody shall see the one with items missing, nor the other one before it is complete.
    if (items != nullptr) {
        PyObject_GC_UnTrack(items);
    }
    PyObject_GC_UnTrack(results);
    PyObject** const places = reinterpret_cast<PyListObject*>(results)->ob_item;
    auto* const bulk = new (memory) Bulk{.references = 1,
                                         .entry = entry,
                                         .function = Py_NewRef(function),
                                         .items = items,
                                         .start = start,
                                         .step = step,
                                         .upcoming = nullptr,
                                         .next = 0,
                                         .allowed = 0,
                                         .count = count,
                                         .left = count,
                                         .results = results,
                                         .outcomes = reinterpret_cast<std::uintptr_t*>(places),
                                         .awaited = kAll,
                                         .even = true,
                                         .mapper = {}};
    entry->bulk = bulk;
    entry->stands_for_many = true;
    entry->state = TaskState::queued;
    return bulk;
}

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

PyObject* bulk_results(Bulk* bulk) {
    for (Py_ssize_t known = 0; known < bulk->count;) {
        std::uintptr_t& outcome = bulk->outcomes[known];
        if (outcome == kPending) {
            if (workers_are_gone()) {
                PyErr_SetString(PyExc_RuntimeError,
                                "the tasks were abandoned when the interpreter shut down");
                return nullptr;
            }
            // As long as there is nothing but values, one wake-up does for all.
            bulk->awaited = bulk->even ? kAll : known;
            ListedWaiter waiter(bulk->mapper);
            if (waiter.wait_until(core::kNever) == WaitOutcome::raised) {
                return nullptr;
            }
            continue;
        }
        if (outcome == kLost) {
            return PyErr_NoMemory();
        }
        if (is_task(outcome)) {
            TaskObject* const task = task_in(outcome);
            PyObject* const value = task_result(task);
            if (value == nullptr) {
                return nullptr;
            }
            outcome = as_outcome(value);
            Py_DECREF(as_object(task));
        }
        ++known;
    }
    PyObject_GC_Track(bulk->results);
    return std::exchange(bulk->results, nullptr);
}

void end_bulk(Bulk* bulk) {
    drop_outcomes(bulk);
    if (bulk->allowed < bulk->count) {
        bulk->left -= bulk->count - bulk->allowed;
        bulk->count = bulk->allowed;
        if (bulk->items != nullptr &&
            PyList_SetSlice(bulk->items, bulk->count, PY_SSIZE_T_MAX, nullptr) != 0) {
            PyErr_WriteUnraisable(nullptr);
        }
    }
    if (bulk->next == bulk->count && bulk->upcoming != nullptr) {
        Py_DECREF(as_object(std::exchange(bulk->upcoming, nullptr)));
    }
    release(bulk);
}

// --- the queue's part ---

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
    // From here on destructors may run any code.
    if (bulk->upcoming == nullptr && bulk->next < bulk->count) {
        bulk->upcoming = task;
    } else {
        Py_DECREF(as_object(task));
    }
    Py_DECREF(item);
    Py_XDECREF(unwanted);
    Py_DECREF(as_object(pool));
    release(bulk);
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
