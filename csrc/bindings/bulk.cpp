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

/// What stands for the items of a range.
struct Numbers {
    long long start = 0;
    long long step = 0;
    Py_ssize_t count = 0;
};

/// True if `range` counts in numbers of C: which then need not be held.
bool read_range(PyObject* range, Numbers* numbers) {
    for (const auto& [name, number] :
         {std::pair("start", &numbers->start), std::pair("step", &numbers->step)}) {
        PyObject* const value = PyObject_GetAttrString(range, name);
        int overflow = 0;
        *number = value != nullptr ? PyLong_AsLongLongAndOverflow(value, &overflow) : 0;
        Py_XDECREF(value);
        if (overflow != 0 || PyErr_Occurred() != nullptr) {
            PyErr_Clear();
            return false;
        }
    }
    numbers->count = PyObject_Size(range);
    if (numbers->count < 0) {
        PyErr_Clear();
        return false;
    }
    long long way = 0;
    long long end = 0;
    return !__builtin_mul_overflow(numbers->count, numbers->step, &way) &&
           !__builtin_add_overflow(numbers->start, way, &end);
}

/// Where the outcomes stand until the list is complete.
std::uintptr_t* outcomes_in(PyObject* results) {
    return reinterpret_cast<std::uintptr_t*>(reinterpret_cast<PyListObject*>(results)->ob_item);
}

/// Takes the list of items; if it is null, `numbers` are the items.
Bulk* make_bulk(PyObject* function, PyObject* items, const Numbers& numbers) {
    const Py_ssize_t count = items != nullptr ? PyList_GET_SIZE(items) : numbers.count;
    TaskObject* const entry = new_task(task_type, function, nullptr, 0, nullptr);
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
    auto* const bulk = new (memory) Bulk{.references = 1,
                                         .entry = entry,
                                         .function = Py_NewRef(function),
                                         .items = items,
                                         .start = numbers.start,
                                         .step = numbers.step,
                                         .upcoming = nullptr,
                                         .next = 0,
                                         .allowed = 0,
                                         .count = count,
                                         .left = count,
                                         .open = false,
                                         .results = results,
                                         .outcomes = outcomes_in(results),
                                         .awaited = kAll,
                                         .even = true,
                                         .mapper = {}};
    entry->bulk = bulk;
    entry->stands_for_many = true;
    entry->state = TaskState::queued;
    return bulk;
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
    Numbers numbers;
    const bool counts = Py_IS_TYPE(iterable, &PyRange_Type) && read_range(iterable, &numbers);
    PyObject* const items = counts ? nullptr : PySequence_List(iterable);
    if (items == nullptr && !counts) {
        return nullptr;
    }
    return make_bulk(function, items, numbers);
}

Bulk* new_open_bulk(PyObject* function) {
    PyObject* const items = PyList_New(0);
    Bulk* const bulk = items != nullptr ? make_bulk(function, items, Numbers{}) : nullptr;
    if (bulk != nullptr) {
        bulk->open = true;
    }
    return bulk;
}

bool add_item(Bulk* bulk, PyObject* item) {
    if (PyList_Append(bulk->results, Py_None) != 0) {
        return false;
    }
    bulk->outcomes = outcomes_in(bulk->results);
    Py_DECREF(as_value(std::exchange(bulk->outcomes[bulk->count], kPending)));
    if (PyList_Append(bulk->items, item) != 0) {
        Py_SET_SIZE(bulk->results, bulk->count);
        return false;
    }
    ++bulk->count;
    ++bulk->left;
    return true;
}

void close_bulk(Bulk* bulk) {
    bulk->open = false;
    if (bulk->next == bulk->count) {
        Py_CLEAR(bulk->items);  // empty
    }
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
