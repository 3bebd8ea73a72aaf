// bindings/pool_methods.cpp: methods and attributes of gilpool's Pool, but for those that spawn.
#include "bindings/pool_methods.hpp"

#include "bindings/arguments.hpp"
#include "bindings/bulk.hpp"
#include "bindings/compat.hpp"
#include "bindings/native_work.hpp"
#include "bindings/pool_map.hpp"
#include "bindings/pool_spawn.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

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
    const TaskObject* const task = current_task();
    if (task != nullptr && task->pool == as_pool(self)) {
        PyErr_SetString(PyExc_RuntimeError, "a task cannot join the pool it runs in");
        return nullptr;
    }
    const JoinResult result = join_pool(as_pool(self), *deadline);
    return result == JoinResult::raised ? nullptr : PyBool_FromLong(result == JoinResult::empty);
}

PyObject* pool_full(PyObject* self, PyObject*) {
    return PyBool_FromLong(is_full(as_pool(self)));
}

PyObject* pool_free_count(PyObject* self, PyObject*) {
    const PoolObject* const pool = as_pool(self);
    if (pool->size < 0) {
        return PyLong_FromLong(1);
    }
    const Py_ssize_t free = pool->size - (pool->tracked - pool->lent);
    return PyLong_FromSsize_t(free > 0 ? free : 0);
}

PyObject* pool_return_slot(PyObject* self, PyObject*) {
    return_guest_slot(as_pool(self));
    Py_RETURN_NONE;
}

PyObject* pool_cancel_queued(PyObject* self, PyObject* args) {
    PyObject* exception = nullptr;
    if (PyArg_ParseTuple(args, "|O:_cancel_queued", &exception) == 0 ||
        !cancel_queued(as_pool(self), exception)) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* pool_stop_running(PyObject* self, PyObject*) {
    if (!stop_running(as_pool(self))) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

bool append_all(PyObject* list, const TaskList& tasks) {
    for (TaskObject* task = tasks.first; task != nullptr; task = task->next) {
        if (PyList_Append(list, as_object(task)) != 0) {
            return false;
        }
    }
    return true;
}

PyObject* pool_tasks(PyObject* self, PyObject*) {
    PyObject* const tasks = show_queued(as_pool(self)) ? PyList_New(0) : nullptr;
    if (tasks != nullptr &&
        !(append_all(tasks, as_pool(self)->running) && append_all(tasks, as_pool(self)->queued))) {
        Py_DECREF(tasks);
        return nullptr;
    }
    return tasks;
}

/// Moves a task of this pool to the internal one, which then accounts for its end. One that is
/// queued for workers of the pool's own stays: others have not run the initializer.
PyObject* pool_discard(PyObject* self, PyObject* argument) {
    PoolObject* const pool = as_pool(self);
    if (!PyObject_TypeCheck(argument, task_type) || as_task(argument)->pool != pool) {
        Py_RETURN_FALSE;
    }
    TaskObject* const task = as_task(argument);
    if (task->state == TaskState::queued && pool->initializer != nullptr) {
        Py_RETURN_FALSE;
    }
    move_task(task, internal_pool());
    Py_RETURN_TRUE;
}

PyObject* pool_stats(PyObject* self, PyObject*) {
    const PoolObject* const pool = as_pool(self);
    Py_ssize_t running = 0;
    Py_ssize_t queued = count_queued(pool);
    for (const TaskObject* task = pool->running.first; task != nullptr; task = task->next) {
        ++(task->native != nullptr && task->native->is_queued() ? queued : running);
    }
    return Py_BuildValue("{s:n,s:n,s:n,s:n,s:K,s:K}", "queued", queued, "running", running,
                         "waiting", pool->lent, "in_line", length_of(pool->line), "spawned",
                         pool->counters.spawned, "finished", pool->counters.finished);
}

PyObject* pool_get_size(PyObject* self, void*) {
    const Py_ssize_t size = as_pool(self)->size;
    return size < 0 ? Py_NewRef(Py_None) : PyLong_FromSsize_t(size);
}

int pool_set_size(PyObject* self, PyObject* value, void*) {
    if (value == nullptr) {
        PyErr_SetString(PyExc_AttributeError, "size cannot be deleted");
        return -1;
    }
    const std::optional<Py_ssize_t> size = optional_count_argument(value, "size");
    if (!size) {
        return -1;
    }
    as_pool(self)->size = *size;
    serve_line(as_pool(self));
    return 0;
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

// --- tables ---

PyDoc_STRVAR(
    spawn_doc,
    "spawn($self, function, /, *args, **kwargs)\n--\n\n"
    "Call function(*args, **kwargs) on a native thread; return its Task.\n\n"
    "From any thread. Keeps the GIL, except to wait for a slot when the pool has a size and is\n"
    "full: first come, first served; Ctrl-C in the main thread ends that wait. A task that spawns "
    "on its own full pool\n"
    "lends its slot. TypeError when function is not callable; RuntimeError once the interpreter\n"
    "shuts down.");
PyDoc_STRVAR(
    spawn_many_doc,
    "spawn_many($self, function, iterable, /)\n--\n\n"
    "Spawn function(item) for each item; return the list of Tasks.\n\n"
    "Cheaper than as many spawns. Waits for slots like spawn; the items of a list, tuple, range,\n"
    "set or dict are read before that, those of an iterator as slots become free. Others that\n"
    "wait for a slot get theirs in turn. An exception of the iterable propagates; what has been\n"
    "spawned by then runs.");
PyDoc_STRVAR(map_doc,
             "_map($self, function, iterable, /)\n--\n\n"
             "The results of function(item) for each item, in order; the first error in that order "
             "raises.");
PyDoc_STRVAR(start_doc,
             "_start($self, task, timeout, /)\n--\n\n"
             "Queue a fresh task once there is a slot; False if there was none in time.");
PyDoc_STRVAR(take_slot_doc,
             "_take_slot($self, timeout, /)\n--\n\n"
             "Count a task that runs elsewhere; False if no slot was free in time.");
PyDoc_STRVAR(pool_join_doc,
             "join($self, /, timeout=None)\n--\n\n"
             "Wait, with the GIL released, until nothing is queued or running any more.\n\n"
             "True if that came within `timeout` seconds. RuntimeError from a task of this pool.");
PyDoc_STRVAR(full_doc, "full($self, /)\n--\n\nTrue if spawn would wait for a slot.");
PyDoc_STRVAR(free_count_doc,
             "free_count($self, /)\n--\n\nHow many slots are free; 1 for a pool without a size.");
PyDoc_STRVAR(
    pool_stats_doc,
    "stats($self, /)\n--\n\n"
    "Counters as a new dict: queued, running (of which waiting: in a wait of gilpool's, their\n"
    "slots lent), in_line (calls that wait for a slot), and since the pool was made spawned and\n"
    "finished.");

}  // namespace

PyMethodDef pool_methods[] = {
    {"spawn", fastcall_method(pool_spawn), METH_FASTCALL | METH_KEYWORDS, spawn_doc},
    {"spawn_many", fastcall_method(pool_spawn_many), METH_FASTCALL, spawn_many_doc},
    {"_map", fastcall_method(pool_map), METH_FASTCALL, map_doc},
    {"join", keyword_method(pool_join), METH_VARARGS | METH_KEYWORDS, pool_join_doc},
    {"full", pool_full, METH_NOARGS, full_doc},
    {"free_count", pool_free_count, METH_NOARGS, free_count_doc},
    {"stats", pool_stats, METH_NOARGS, pool_stats_doc},
    {"_start", pool_start, METH_VARARGS, start_doc},
    {"_start_later", pool_start_later, METH_VARARGS,
     "_start_later($self, task, seconds, /)\n--\n\nQueue a fresh task when so many seconds are "
     "over."},
    {"_take_slot", pool_take_slot, METH_O, take_slot_doc},
    {"_return_slot", pool_return_slot, METH_NOARGS, "Undo one _take_slot."},
    {"_discard", pool_discard, METH_O,
     "Stop tracking a task; False if it is not one of this pool."},
    {"_tasks", pool_tasks, METH_NOARGS, "The tasks that run, then those that are queued."},
    {"_cancel_queued", pool_cancel_queued, METH_VARARGS,
     "_cancel_queued($self, exception=None, /)\n--\n\n"
     "End every queued task with an exception, before any other thread can begin one."},
    {"_stop_running", pool_stop_running, METH_NOARGS, "Kill what runs, without waiting."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef pool_getset[] = {
    {"size", pool_get_size, pool_set_size,
     "Most tasks at once, or None. May be set: fewer stops nothing, more lets waiting spawns in.",
     nullptr},
    {"name", pool_get_name, nullptr, "The name given to the pool, or None.", nullptr},
    {"daemon", pool_get_daemon, pool_set_daemon,
     "Whether the interpreter's exit abandons the pool's tasks instead of running them to their "
     "end.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

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

Py_ssize_t pool_length(PyObject* self) {
    return as_pool(self)->tracked;
}

int pool_contains(PyObject* self, PyObject* object) {
    return PyObject_TypeCheck(object, task_type) && as_task(object)->pool == as_pool(self) ? 1 : 0;
}

int pool_truth(PyObject*) {
    return 1;
}

}  // namespace gilpool::bindings
