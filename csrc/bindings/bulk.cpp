// bindings/bulk.cpp: making a bulk, and waiting for its results. GIL held, released to wait.
#include "bindings/bulk.hpp"

#include <new>
#include <utility>

#include "bindings/bulk_outcomes.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/task_methods.hpp"
#include "bindings/task_type.hpp"
#include "bindings/waiting.hpp"

namespace gilpool::bindings {

namespace {

constexpr Py_ssize_t kAll = -1;

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

}  // namespace gilpool::bindings
