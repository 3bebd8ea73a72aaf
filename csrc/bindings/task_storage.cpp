// bindings/task_storage.cpp: the list of free Tasks.
#include "bindings/task_storage.hpp"

#include <utility>

#include "bindings/compat.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

/// As many as a thread can queue before it loses the GIL: at 256 bytes each 32 MB, which the
/// program has had in use shortly before.
constexpr int kMostKept = 131'072;
/// Takes less than half a millisecond.
constexpr int kReleasedAtOnce = 4'096;

TaskObject* g_free = nullptr;  ///< linked by `next`
int g_kept = 0;

}  // namespace

TaskObject* allocate_task(PyTypeObject* type) {
    TaskObject* const task = g_free;
    if (task == nullptr) {
        return PyObject_GC_New(TaskObject, type);
    }
    g_free = task->next;
    --g_kept;
    prefetch_task_after(g_free);
    PyObject_Init(as_object(task), type);
    return task;
}

void free_task(TaskObject* task) {
    if (!kTaskStorageIsKept || g_kept == kMostKept) {
        PyObject_GC_Del(task);
        return;
    }
    task->next = g_free;
    g_free = task;
    ++g_kept;
}

bool release_some_task_storage() {
    for (int i = 0; i < kReleasedAtOnce && g_free != nullptr; ++i) {
        TaskObject* const task = std::exchange(g_free, g_free->next);
        --g_kept;
        PyObject_GC_Del(task);
    }
    return g_free != nullptr;
}

}  // namespace gilpool::bindings
