// bindings/pool_type.cpp: life, accounting and methods of gilpool's Pool.
#include "bindings/pool_type.hpp"

#include <structmember.h>

#include <cstddef>
#include <new>

#include "bindings/arguments.hpp"
#include "bindings/compat.hpp"
#include "bindings/errors.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/task_type.hpp"
#include "bindings/waiting.hpp"

namespace gilpool::bindings {

namespace {

PoolObject* g_first_active = nullptr;

PoolObject* as_pool(PyObject* self) {
    return reinterpret_cast<PoolObject*>(self);
}

void link_active(PoolObject* pool) {
    pool->previous_active = nullptr;
    pool->next_active = g_first_active;
    if (g_first_active != nullptr) {
        g_first_active->previous_active = pool;
    }
    g_first_active = pool;
}

/// next_active stays readable, for a walk over the list that empties pools as it goes.
void unlink_active(PoolObject* pool) {
    (pool->previous_active != nullptr ? pool->previous_active->next_active : g_first_active) =
        pool->next_active;
    if (pool->next_active != nullptr) {
        pool->next_active->previous_active = pool->previous_active;
    }
}

bool is_full(const PoolObject* pool) {
    return pool->size >= 0 && pool->tracked >= pool->size;
}

bool runs_in(const PoolObject* pool) {
    const TaskObject* const task = current_task();
    return task != nullptr && task->pool == pool;
}

/// Waits for a free slot. A task of this very pool lends its own slot to what it spawns: were it to
/// wait, a pool could wait for itself.
bool wait_for_slot(PoolObject* pool) {
    while (is_full(pool) && !runs_in(pool)) {
        ListedWaiter waiter(pool->slot_waiters);
        if (waiter.wait_until(core::kNever) == WaitOutcome::raised) {
            // This waiter may have been told of a slot that another one can use now.
            pool->slot_waiters.notify_one();
            return false;
        }
    }
    return true;
}

// --- methods
// -----------------------------------------------------------------------------------------

PyObject* pool_spawn(PyObject* self, PyObject* args, PyObject* kwargs) {
    if (PyTuple_GET_SIZE(args) == 0) {
        PyErr_SetString(PyExc_TypeError, "spawn() needs a function to call");
        return nullptr;
    }
    PyObject* const function = PyTuple_GET_ITEM(args, 0);
    if (PyCallable_Check(function) == 0) {
        PyErr_Format(PyExc_TypeError, "function must be callable, not %.200s",
                     Py_TYPE(function)->tp_name);
        return nullptr;
    }
    PoolObject* const pool = as_pool(self);
    if (!wait_for_slot(pool)) {
        return nullptr;
    }
    if (spawning_is_over()) {
        PyErr_SetString(PyExc_RuntimeError, "cannot spawn: the interpreter is shutting down");
        return nullptr;
    }
    PyObject* const call_args = PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args));
    if (call_args == nullptr) {
        return nullptr;
    }
    TaskObject* const task = new_task(pool, function, call_args, kwargs);
    Py_DECREF(call_args);
    if (task == nullptr) {
        return nullptr;
    }
    if (pool->tracked++ == 0) {
        link_active(pool);
    }
    pool->queued.push_back(
        reinterpret_cast<TaskObject*>(Py_NewRef(reinterpret_cast<PyObject*>(task))));
    if (!schedule(pool)) {
        pool->queued.unlink(task);
        if (pool->queued.empty()) {
            unschedule(pool);
        }
        PyObject* const error =
            PyObject_CallFunction(PyExc_RuntimeError, "s", "cannot start a thread for the task");
        if (error != nullptr) {
            task->exception_seen = true;
            end_unstarted_task(task, Py_NewRef(error));
            raise_exception(error);
        }
        Py_DECREF(reinterpret_cast<PyObject*>(task));
        return nullptr;
    }
    return reinterpret_cast<PyObject*>(task);
}

PyObject* pool_join(PyObject* self, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {"timeout", nullptr};
    PyObject* timeout = nullptr;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "|O:join", const_cast<char**>(names), &timeout) ==
        0) {
        return nullptr;
    }
    const std::optional<core::TimePoint> deadline = timeout_argument(timeout, "timeout");
    if (!deadline) {
        return nullptr;
    }
    if (runs_in(as_pool(self))) {
        PyErr_SetString(PyExc_RuntimeError, "a task cannot join the pool it runs in");
        return nullptr;
    }
    const JoinResult result = join_pool(as_pool(self), *deadline);
    return result == JoinResult::raised ? nullptr : PyBool_FromLong(result == JoinResult::empty);
}

PyObject* pool_cancel_queued(PyObject* self, PyObject*) {
    if (!cancel_queued(as_pool(self))) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* pool_stop_running(PyObject* self, PyObject*) {
    stop_running(as_pool(self));
    Py_RETURN_NONE;
}

PyObject* pool_running_names(PyObject* self, PyObject*) {
    PyObject* const names = PyList_New(0);
    for (TaskObject* task = as_pool(self)->running.first; names != nullptr && task != nullptr;
         task = task->next) {
        if (PyList_Append(names, task->label) != 0) {
            Py_DECREF(names);
            return nullptr;
        }
    }
    return names;
}

Py_ssize_t pool_length(PyObject* self) {
    return as_pool(self)->tracked;
}

/// A pool is a thing to spawn on, not a collection to test: true even when nothing runs.
int pool_truth(PyObject*) {
    return 1;
}

PyObject* pool_get_size(PyObject* self, void*) {
    const Py_ssize_t size = as_pool(self)->size;
    return size < 0 ? Py_NewRef(Py_None) : PyLong_FromSsize_t(size);
}

PyObject* pool_get_name(PyObject* self, void*) {
    return Py_NewRef(as_pool(self)->name);
}

PyObject* pool_get_daemon(PyObject* self, void*) {
    return PyBool_FromLong(as_pool(self)->daemon);
}

int pool_set_daemon(PyObject* self, PyObject* value, void*) {
    if (value == nullptr) {
        PyErr_SetString(PyExc_AttributeError, "daemon cannot be deleted");
        return -1;
    }
    const int truth = PyObject_IsTrue(value);
    if (truth < 0) {
        return -1;
    }
    as_pool(self)->daemon = truth != 0;
    return 0;
}

PyObject* pool_repr(PyObject* self) {
    const PoolObject* const pool = as_pool(self);
    PyObject* const size = pool_get_size(self, nullptr);
    if (size == nullptr) {
        return nullptr;
    }
    PyObject* const repr = PyUnicode_FromFormat("<Pool name=%R size=%S tasks=%zd at %p>",
                                                pool->name, size, pool->tracked, self);
    Py_DECREF(size);
    return repr;
}

// --- life
// --------------------------------------------------------------------------------------------

PyObject* pool_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {"size", "name", "daemon", nullptr};
    PyObject* size_value = Py_None;
    PyObject* name = Py_None;
    int daemon = 0;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "|O$Op:Pool", const_cast<char**>(names),
                                    &size_value, &name, &daemon) == 0) {
        return nullptr;
    }
    const std::optional<Py_ssize_t> size = optional_count_argument(size_value, "size");
    if (!size) {
        return nullptr;
    }
    if (name != Py_None && PyUnicode_Check(name) == 0) {
        PyErr_Format(PyExc_TypeError, "name must be a str or None, not %.200s",
                     Py_TYPE(name)->tp_name);
        return nullptr;
    }
    PoolObject* const pool = as_pool(type->tp_alloc(type, 0));
    if (pool == nullptr) {
        return nullptr;
    }
    pool->size = *size;
    pool->name = Py_NewRef(name);
    pool->daemon = daemon != 0;
    new (&pool->queued) TaskList;
    new (&pool->running) TaskList;
    new (&pool->empty_waiters) core::WaitList;
    new (&pool->slot_waiters) core::WaitList;
    return reinterpret_cast<PyObject*>(pool);
}

int pool_traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(as_pool(self)->name);
    Py_VISIT(as_pool(self)->attributes);
    return 0;
}

int pool_clear(PyObject* self) {
    Py_CLEAR(as_pool(self)->attributes);
    return 0;
}

void pool_dealloc(PyObject* self) {
    PoolObject* const pool = as_pool(self);
    PyObject_GC_UnTrack(self);
    if (pool->weakrefs != nullptr) {
        PyObject_ClearWeakRefs(self);
    }
    pool_clear(self);
    Py_CLEAR(pool->name);
    pool->empty_waiters.~WaitList();
    pool->slot_waiters.~WaitList();
    PyTypeObject* const type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

// --- tables
// ------------------------------------------------------------------------------------------

PyDoc_STRVAR(pool_doc,
             "Pool(size=None, *, name=None, daemon=False)\n--\n\n"
             "Runs Python calls on native threads.");
PyDoc_STRVAR(
    spawn_doc,
    "spawn($self, function, /, *args, **kwargs)\n--\n\n"
    "Call function(*args, **kwargs) on a native thread; return its Task.\n\n"
    "From any thread. Does not release the GIL, except to wait for a slot when the pool has a\n"
    "size and is full; Ctrl-C in the main thread ends that wait. A task that spawns on its own\n"
    "full pool does not wait. TypeError when function is not callable; RuntimeError once the\n"
    "interpreter shuts down.");
PyDoc_STRVAR(pool_join_doc,
             "join($self, /, timeout=None)\n--\n\n"
             "Wait, with the GIL released, until nothing is queued or running any more.\n\n"
             "True if that came within `timeout` seconds. RuntimeError from a task of this pool.");

PyMethodDef pool_methods[] = {
    {"spawn", keyword_method(pool_spawn), METH_VARARGS | METH_KEYWORDS, spawn_doc},
    {"join", keyword_method(pool_join), METH_VARARGS | METH_KEYWORDS, pool_join_doc},
    {"_cancel_queued", pool_cancel_queued, METH_NOARGS, "End every queued task with TaskExit."},
    {"_stop_running", pool_stop_running, METH_NOARGS, "End gilpool's own sleeps in running tasks."},
    {"_running_names", pool_running_names, METH_NOARGS, "Names of the tasks that run now."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef pool_getset[] = {
    {"size", pool_get_size, nullptr, "Most tasks at once, or None.", nullptr},
    {"name", pool_get_name, nullptr, "The name given to the pool, or None.", nullptr},
    {"daemon", pool_get_daemon, pool_set_daemon,
     "Whether the interpreter's exit abandons the pool's tasks instead of running them to their "
     "end.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef pool_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PoolObject, weakrefs), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(PoolObject, attributes), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot pool_slots[] = {{Py_tp_doc, const_cast<char*>(pool_doc)},
                            {Py_tp_new, reinterpret_cast<void*>(pool_new)},
                            {Py_tp_traverse, reinterpret_cast<void*>(pool_traverse)},
                            {Py_tp_clear, reinterpret_cast<void*>(pool_clear)},
                            {Py_tp_dealloc, reinterpret_cast<void*>(pool_dealloc)},
                            {Py_tp_repr, reinterpret_cast<void*>(pool_repr)},
                            {Py_sq_length, reinterpret_cast<void*>(pool_length)},
                            {Py_nb_bool, reinterpret_cast<void*>(pool_truth)},
                            {Py_tp_methods, pool_methods},
                            {Py_tp_getset, pool_getset},
                            {Py_tp_members, pool_members},
                            {0, nullptr}};

PyType_Spec pool_spec = {"gilpool._core.Pool", sizeof(PoolObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, pool_slots};

}  // namespace

// --- lists
// -------------------------------------------------------------------------------------------

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

TaskObject* TaskList::pop_front() {
    TaskObject* const task = first;
    if (task != nullptr) {
        unlink(task);
    }
    return task;
}

// --- what the scheduler, exit and fork need
// ------------------------------------------------------------

int add_pool_type(PyObject* module) {
    PyObject* const type = PyType_FromModuleAndSpec(module, &pool_spec, nullptr);
    if (type == nullptr) {
        return -1;
    }
    const int added = PyModule_AddObjectRef(module, "Pool", type);
    Py_DECREF(type);
    return added;
}

PoolObject* first_active_pool() {
    return g_first_active;
}

void task_left_pool(PoolObject* pool) {
    if (--pool->tracked == 0) {
        unlink_active(pool);
        pool->empty_waiters.notify_all();
    }
    pool->slot_waiters.notify_one();
}

void unlink_running(TaskObject* task) {
    task->pool->running.unlink(task);
}

bool cancel_queued(PoolObject* pool) {
    // Making an exception and ending a task may run any destructor, which may spawn, cancel, or
    // drop the last name of the pool: so each round looks anew.
    Py_INCREF(reinterpret_cast<PyObject*>(pool));
    bool ok = true;
    while (ok && !pool->queued.empty()) {
        PyObject* const exit = PyObject_CallNoArgs(error_types.task_exit);
        ok = exit != nullptr;
        if (!ok || pool->queued.empty()) {
            Py_XDECREF(exit);
            continue;
        }
        TaskObject* const task = pool->queued.pop_front();
        if (pool->queued.empty()) {
            unschedule(pool);
        }
        end_unstarted_task(task, exit);
    }
    Py_DECREF(reinterpret_cast<PyObject*>(pool));
    return ok;
}

void stop_running(PoolObject* pool) {
    for (TaskObject* task = pool->running.first; task != nullptr; task = task->next) {
        task->stop.request_stop();
    }
}

JoinResult join_pool(PoolObject* pool, core::TimePoint deadline) {
    if (pool->tracked == 0) {
        return JoinResult::empty;
    }
    ListedWaiter waiter(pool->empty_waiters);
    switch (waiter.wait_until(deadline)) {
        case WaitOutcome::notified:
            return JoinResult::empty;
        case WaitOutcome::timed_out:
            return JoinResult::timed_out;
        case WaitOutcome::raised:
            return JoinResult::raised;
    }
    Py_UNREACHABLE();
}

void fail_inherited_tasks() {
    for (PoolObject* pool = g_first_active; pool != nullptr; pool = pool->next_active) {
        // Waiters in these lists belong to threads that do not exist in the child.
        new (&pool->empty_waiters) core::WaitList;
        new (&pool->slot_waiters) core::WaitList;
    }
    // A pool leaves the list with its last task; only the one whose task forked stays.
    for (PoolObject* pool = g_first_active; pool != nullptr;) {
        Py_INCREF(reinterpret_cast<PyObject*>(pool));
        while (TaskObject* const task = pool->queued.pop_front()) {
            fail_inherited_task(task);
        }
        TaskObject* following = nullptr;
        for (TaskObject* task = pool->running.first; task != nullptr; task = following) {
            following = task->next;
            if (task != current_task()) {
                pool->running.unlink(task);
                fail_inherited_task(task);
            }
        }
        PoolObject* const next = pool->next_active;
        Py_DECREF(reinterpret_cast<PyObject*>(pool));
        pool = next;
    }
}

}  // namespace gilpool::bindings
