// bindings/pool_map.cpp: map by a bulk where nobody can tell the difference, else by tasks. GIL
// held, released while it waits.
#include "bindings/pool_map.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "bindings/bulk.hpp"
#include "bindings/compat.hpp"
#include "bindings/kernel_type.hpp"
#include "bindings/pool_spawn.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/slot_line.hpp"
#include "bindings/stats_function.hpp"
#include "bindings/task_kill.hpp"
#include "bindings/task_methods.hpp"
#include "bindings/task_type.hpp"
#include "bindings/trace.hpp"
#include "bindings/waiting.hpp"
#include "core/fork.hpp"

namespace gilpool::bindings {

namespace {

PyObject* gather(PyObject*, PyObject* tasks) {
    if (PyList_Check(tasks) == 0) {
        PyErr_SetString(PyExc_TypeError, "tasks must be a list");
        return nullptr;
    }
    const Py_ssize_t count = PyList_GET_SIZE(tasks);
    PyObject* const results = PyList_New(count);
    for (Py_ssize_t i = 0; results != nullptr && i < count; ++i) {
        PyObject* const item = PyList_GET_ITEM(tasks, i);
        if (!PyObject_TypeCheck(item, task_type)) {
            PyErr_Format(PyExc_TypeError, "tasks must hold Tasks only, not %.200s",
                         Py_TYPE(item)->tp_name);
            Py_DECREF(results);
            return nullptr;
        }
        TaskObject* const task = as_task(item);
        PyObject* const result = task->state == TaskState::done
                                     ? task_result(task)
                                     : PyObject_CallMethod(as_object(task), "get", nullptr);
        if (result == nullptr) {
            Py_DECREF(results);
            return nullptr;
        }
        PyList_SET_ITEM(results, i, result);
    }
    return results;
}

PyMethodDef gather_functions[] = {
    {"_gather", gather, METH_O,
     "_gather(tasks, /)\n--\n\nThe tasks' results in order; the first error in that order raises."},
    {nullptr, nullptr, 0, nullptr}};

/// Whether a bulk can make the calls: each in nothing but a fresh context, by Python, unobserved.
bool fits_bulk(const PoolObject* pool, PyObject* function) {
    return !pool->copies_context && Py_TYPE(function) != kernel_type && !collecting_stats() &&
           !tracing();
}

/// Gives each item its slot, when there is one; false with an exception set if not all got theirs.
bool allow_all(PoolObject* pool, Bulk* bulk) {
    if (bulk->count == 0) {
        return true;
    }
    if (pool->size < 0) {
        return allow_items(pool, bulk, bulk->count) || raise_no_thread();
    }
    SlotClaim* const claim = claim_for_items(bulk);
    const bool ok = wait_for_items(pool, claim, 0);
    drop_claim(pool, claim);
    return ok;
}

/// How far to read ahead of the slots: as far as the pool gets in a millisecond. Each wait for a
/// slot ends with the GIL going from a worker to the reader, some 15 us, which is much beside a
/// short call; so with short calls there is one wait for many items. With long ones nothing is read
/// before there is a slot: the items may be large, and whoever makes them as they are asked for
/// counts on that.
class ReadAhead {
  public:
    std::size_t most() const { return most_; }

    void note_item() { ++items_; }

    /// Waits come in bunches, as calls of equal length end together: so only time that is long
    /// enough tells anything.
    void note_wait() {
        const core::TimePoint now = core::monotonic_now();
        const auto lengths = (now - since_) / kLength;
        if (lengths > 0) {
            most_ = std::clamp<std::size_t>(items_ / static_cast<std::size_t>(lengths), 1, kLimit);
            items_ = 0;
            since_ = now;
        }
    }

  private:
    static constexpr std::chrono::milliseconds kLength{1};
    static constexpr std::size_t kLimit = 128;

    std::size_t most_ = 1;
    std::size_t items_ = 0;
    core::TimePoint since_ = core::monotonic_now();
};

/// True with an exception set in a forked child of the reader, who has lost what it had queued.
bool has_forked_since(std::uint32_t generation) {
    if (generation == core::fork_generation()) {
        return false;
    }
    PyErr_SetString(PyExc_RuntimeError,
                    "the process forked: the calls of this map belong to the parent process");
    return true;
}

/// Adds what the iterator gives to the open bulk, and has it called as there are slots. False with
/// an exception set: that of the iterator, of the wait for a slot, or no task can be made.
///
/// The reader waits in two places. For a slot: all it has read is in line then and gets slots as
/// calls end, whatever the reader does. In the iterator, perhaps for the result of such a call: the
/// same holds, so that it comes. A reader that is a task lends its own slot all the while: on a
/// pool of one there is no other.
bool read_into(PoolObject* pool, Bulk* bulk, PyObject* iterator, SlotClaim* claim,
               std::uint32_t generation) {
    ReadAhead ahead;
    Breath breath;
    while (PyObject* const item = PyIter_Next(iterator)) {
        const bool added = !has_forked_since(generation) && breath.take() && may_spawn(pool) &&
                           add_item(bulk, item);
        Py_DECREF(item);
        if (!added) {
            return false;
        }
        claim_more(pool, claim);
        ahead.note_item();
        if (unserved(claim) >= ahead.most()) {
            if (!wait_for_items(pool, claim, ahead.most() / 2)) {
                return false;
            }
            ahead.note_wait();
        }
    }
    return PyErr_Occurred() == nullptr && !has_forked_since(generation);
}

/// The results, unless `raised` is what ended the bulk before; and its end.
PyObject* results_of(Bulk* bulk, PyObject* raised) {
    PyObject* const results = raised == nullptr ? bulk_results(bulk) : nullptr;
    if (results == nullptr && raised == nullptr) {
        raised = take_raised_exception();
    }
    end_bulk(bulk);
    if (raised != nullptr) {
        raise_exception(raised);
    }
    return results;
}

PyObject* map_what_is_held(PoolObject* pool, PyObject* function, PyObject* iterable) {
    Bulk* const bulk = may_spawn(pool) ? new_bulk(function, iterable) : nullptr;
    if (bulk == nullptr) {
        return nullptr;
    }
    return results_of(bulk, allow_all(pool, bulk) ? nullptr : take_raised_exception());
}

PyObject* map_what_is_read(PoolObject* pool, PyObject* function, PyObject* iterable) {
    PyObject* const iterator = PyObject_GetIter(iterable);
    Bulk* const bulk = iterator != nullptr ? new_open_bulk(function) : nullptr;
    if (bulk == nullptr) {
        Py_XDECREF(iterator);
        return nullptr;
    }
    SlotClaim* const claim = claim_for_items(bulk);
    const bool lent = lend_own_slot();
    const std::uint32_t generation = core::fork_generation();
    const std::uint32_t kills = kills_delivered();
    PyObject* raised =
        read_into(pool, bulk, iterator, claim, generation) ? nullptr : take_raised_exception();
    Py_DECREF(iterator);
    close_bulk(bulk);
    // An error in the data ends the reading; what has been read is called all the same. A request
    // to end (Ctrl-C, a kill) drops what has no slot yet.
    const bool goes_on =
        raised == nullptr || (PyErr_GivenExceptionMatches(raised, PyExc_Exception) != 0 &&
                              !was_killed_since(kills) && generation == core::fork_generation());
    if (goes_on && !wait_for_items(pool, claim, 0)) {
        Py_XSETREF(raised, take_raised_exception());
    }
    drop_claim(pool, claim);
    PyObject* const results = results_of(bulk, raised);
    if (lent) {
        take_own_slot_back();
    }
    return results;
}

}  // namespace

PyObject* pool_map(PyObject* self, PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != 2) {
        PyErr_Format(PyExc_TypeError, "_map() takes a function and an iterable, got %zd arguments",
                     nargs);
        return nullptr;
    }
    PoolObject* const pool = as_pool(self);
    if (!check_callable(args[0])) {
        return nullptr;
    }
    if (fits_bulk(pool, args[0])) {
        return holds_its_items(args[1]) ? map_what_is_held(pool, args[0], args[1])
                                        : map_what_is_read(pool, args[0], args[1]);
    }
    PyObject* const tasks = pool_spawn_many(self, args, nargs);
    PyObject* const results = tasks != nullptr ? gather(nullptr, tasks) : nullptr;
    Py_XDECREF(tasks);
    return results;
}

int add_gather(PyObject* module) {
    return PyModule_AddFunctions(module, gather_functions);
}

}  // namespace gilpool::bindings
