// bindings/bulk_outcomes.hpp: what became of a bulk's items: shared by bulk.cpp, which hands the
// results out, and bulk_items.cpp, which has the items called. Nobody else includes this. GIL held.
//
// An outcome is a word: 0 while the item is not over, the value, the Task with its lowest bit set
// (somebody knows it, or it has failed), or kLost.
#pragma once

#include <Python.h>

#include <cstdint>

#include "bindings/bulk.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

inline constexpr std::uintptr_t kPending = 0;
inline constexpr std::uintptr_t kTaskBit = 1;
/// There was no memory for a Task, nor for the item.
inline constexpr std::uintptr_t kLost = 2;

inline std::uintptr_t as_outcome(PyObject* value) {
    return reinterpret_cast<std::uintptr_t>(value);
}
inline std::uintptr_t as_outcome(TaskObject* task) {
    return reinterpret_cast<std::uintptr_t>(task) | kTaskBit;
}
inline bool is_task(std::uintptr_t outcome) {
    return (outcome & kTaskBit) != 0;
}
inline PyObject* as_value(std::uintptr_t outcome) {
    return reinterpret_cast<PyObject*>(outcome);
}
inline TaskObject* task_in(std::uintptr_t outcome) {
    return reinterpret_cast<TaskObject*>(outcome & ~kTaskBit);
}

/// Notes that an item is over. An outcome that is no value may be an error that the mapper has to
/// raise. Takes the reference, unless nobody wants results.
void note_end(Bulk* bulk, Py_ssize_t index, std::uintptr_t outcome);

/// Gives up one of the references. May run any destructor.
void release(Bulk* bulk);

}  // namespace gilpool::bindings
