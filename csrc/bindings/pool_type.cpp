// bindings/pool_type.cpp: life, methods and tables of gilpool's Pool.
#include "bindings/pool_type.hpp"

#include <structmember.h>

#include <cstddef>
#include <new>

#include "bindings/arguments.hpp"
#include "bindings/compat.hpp"
#include "bindings/native_work.hpp"
#include "bindings/pool_spawn.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

PoolObject* g_default_pool = nullptr;
PoolObject* g_internal_pool = nullptr;

// --- methods ---

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

PyObject* pool_cancel_queued(PyObject* self, PyObject*) {
    if (!cancel_queued(as_pool(self))) {
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
    PyObject* const tasks = PyList_New(0);
    if (tasks != nullptr &&
        !(append_all(tasks, as_pool(self)->running) && append_all(tasks, as_pool(self)->queued))) {
        Py_DECREF(tasks);
        return nullptr;
    }
    return tasks;
}

/// Moves a task of this pool to the internal one, which then accounts for its end.
PyObject* pool_discard(PyObject* self, PyObject* argument) {
    PoolObject* const pool = as_pool(self);
    if (!PyObject_TypeCheck(argument, task_type) || as_task(argument)->pool != pool) {
        Py_RETURN_FALSE;
    }
    TaskObject* const task = as_task(argument);
    PoolObject* const other = internal_pool();
    if (task->state == TaskState::queued) {
        unqueue(task);
        other->queued.push_back(task);
        schedule(other);
    } else {
        pool->running.unlink(task);
        other->running.push_back(task);
    }
    move_lent_slot(task, other);
    adopt(other, task);
    return_slot(pool);
    Py_DECREF(as_object(pool));
    Py_RETURN_TRUE;
}

PyObject* pool_stats(PyObject* self, PyObject*) {
    const PoolObject* const pool = as_pool(self);
    Py_ssize_t running = 0;
    Py_ssize_t queued = 0;
    for (const TaskObject* task = pool->running.first; task != nullptr; task = task->next) {
        ++(task->native != nullptr && task->native->is_queued() ? queued : running);
    }
    for (const TaskObject* task = pool->queued.first; task != nullptr; task = task->next) {
        ++queued;
    }
    return Py_BuildValue("{s:n,s:n,s:n,s:n,s:K,s:K}", "queued", queued, "running", running,
                         "waiting", pool->lent, "in_line", length_of(pool->line), "spawned",
                         pool->counters.spawned, "finished", pool->counters.finished);
}

Py_ssize_t pool_length(PyObject* self) {
    return as_pool(self)->tracked;
}

int pool_contains(PyObject* self, PyObject* object) {
    return PyObject_TypeCheck(object, task_type) && as_task(object)->pool == as_pool(self) ? 1 : 0;
}

/// A pool is a thing to spawn on, not a collection to test: true even when nothing runs.
int pool_truth(PyObject*) {
    return 1;
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

// --- life ---

/// Whether `context` is one of the two words; raises otherwise.
bool copies_context_argument(PyObject* context, bool* copies) {
    if (context == nullptr || PyUnicode_Check(context) == 0) {
        PyErr_Format(PyExc_TypeError, "context must be 'fresh' or 'copy', not %.200s",
                     Py_TYPE(context)->tp_name);
        return false;
    }
    *copies = PyUnicode_CompareWithASCIIString(context, "copy") == 0;
    if (!*copies && PyUnicode_CompareWithASCIIString(context, "fresh") != 0) {
        PyErr_Format(PyExc_ValueError, "context must be 'fresh' or 'copy', not %R", context);
        return false;
    }
    return true;
}

/// A pool without a size or anything else; its arguments are __init__'s, so that subclasses may
/// choose their own.
PyObject* pool_new(PyTypeObject* type, PyObject*, PyObject*) {
    PyObject* const no_arguments = PyTuple_New(0);
    PoolObject* const pool = no_arguments != nullptr ? as_pool(type->tp_alloc(type, 0)) : nullptr;
    if (pool == nullptr) {
        Py_XDECREF(no_arguments);
        return nullptr;
    }
    pool->size = -1;
    pool->name = Py_NewRef(Py_None);
    pool->initializer_args = no_arguments;
    new (&pool->queued) TaskList;
    new (&pool->running) TaskList;
    new (&pool->counters) PoolCounters;
    new (&pool->empty_waiters) core::WaitList;
    new (&pool->crew) std::shared_ptr<Crew>;
    return as_object(pool);
}

int pool_init(PyObject* self, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {"size",    "name",   "initializer", "initargs",
                                  "context", "daemon", nullptr};
    PyObject* size_value = Py_None;
    PyObject* name = Py_None;
    PyObject* initializer = Py_None;
    PyObject* initargs = nullptr;
    PyObject* context = nullptr;
    int daemon = 0;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "|O$OOOOp:Pool", const_cast<char**>(names),
                                    &size_value, &name, &initializer, &initargs, &context,
                                    &daemon) == 0) {
        return -1;
    }
    const std::optional<Py_ssize_t> size = optional_count_argument(size_value, "size");
    if (!size) {
        return -1;
    }
    if (name != Py_None && PyUnicode_Check(name) == 0) {
        PyErr_Format(PyExc_TypeError, "name must be a str or None, not %.200s",
                     Py_TYPE(name)->tp_name);
        return -1;
    }
    if (initializer != Py_None && PyCallable_Check(initializer) == 0) {
        PyErr_Format(PyExc_TypeError, "initializer must be callable or None, not %.200s",
                     Py_TYPE(initializer)->tp_name);
        return -1;
    }
    bool copies_context = false;
    if (context != nullptr && !copies_context_argument(context, &copies_context)) {
        return -1;
    }
    PyObject* const initializer_args =
        initargs != nullptr ? PySequence_Tuple(initargs) : PyTuple_New(0);
    if (initializer_args == nullptr) {
        return -1;
    }
    PoolObject* const pool = as_pool(self);
    pool->size = *size;
    pool->daemon = daemon != 0;
    pool->copies_context = copies_context;
    Py_XSETREF(pool->name, Py_NewRef(name));
    Py_XSETREF(pool->initializer, initializer != Py_None ? Py_NewRef(initializer) : nullptr);
    Py_XSETREF(pool->initializer_args, initializer_args);
    return 0;
}

int pool_traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(as_pool(self)->name);
    Py_VISIT(as_pool(self)->initializer);
    Py_VISIT(as_pool(self)->initializer_args);
    Py_VISIT(as_pool(self)->attributes);
    return 0;
}

int pool_clear(PyObject* self) {
    Py_CLEAR(as_pool(self)->initializer);
    Py_CLEAR(as_pool(self)->initializer_args);
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
    drop_guest_slots(pool);
    Py_CLEAR(pool->name);
    dismiss_crew(pool);
    pool->crew.~shared_ptr();
    pool->empty_waiters.~WaitList();
    PyTypeObject* const type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

// --- tables ---

PyDoc_STRVAR(pool_doc,
             "Pool(size=None, *, name=None, initializer=None, initargs=(), context='fresh', "
             "daemon=False)\n--\n\n"
             "Runs Python calls on native threads.");
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

PyMethodDef pool_methods[] = {
    {"spawn", fastcall_method(pool_spawn), METH_FASTCALL | METH_KEYWORDS, spawn_doc},
    {"spawn_many", fastcall_method(pool_spawn_many), METH_FASTCALL, spawn_many_doc},
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
    {"_cancel_queued", pool_cancel_queued, METH_NOARGS, "End every queued task with TaskExit."},
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

PyMemberDef pool_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PoolObject, weakrefs), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(PoolObject, attributes), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot pool_slots[] = {{Py_tp_doc, const_cast<char*>(pool_doc)},
                            {Py_tp_new, reinterpret_cast<void*>(pool_new)},
                            {Py_tp_init, reinterpret_cast<void*>(pool_init)},
                            {Py_tp_traverse, reinterpret_cast<void*>(pool_traverse)},
                            {Py_tp_clear, reinterpret_cast<void*>(pool_clear)},
                            {Py_tp_dealloc, reinterpret_cast<void*>(pool_dealloc)},
                            {Py_tp_repr, reinterpret_cast<void*>(pool_repr)},
                            {Py_sq_length, reinterpret_cast<void*>(pool_length)},
                            {Py_sq_contains, reinterpret_cast<void*>(pool_contains)},
                            {Py_nb_bool, reinterpret_cast<void*>(pool_truth)},
                            {Py_tp_methods, pool_methods},
                            {Py_tp_getset, pool_getset},
                            {Py_tp_members, pool_members},
                            {0, nullptr}};

PyType_Spec pool_spec = {"gilpool._core.Pool", sizeof(PoolObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, pool_slots};

PyTypeObject* g_pool_type = nullptr;

PyObject* set_default_pool(PyObject*, PyObject* pool) {
    if (!PyObject_TypeCheck(pool, g_pool_type)) {
        PyErr_SetString(PyExc_TypeError, "the default pool must be a Pool");
        return nullptr;
    }
    Py_XSETREF(g_default_pool, as_pool(Py_NewRef(pool)));
    Py_RETURN_NONE;
}

PyObject* join_all(PyObject*, PyObject* timeout) {
    const std::optional<core::TimePoint> deadline = timeout_argument(timeout, "timeout");
    if (!deadline) {
        return nullptr;
    }
    if (is_serving_thread()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a task or link cannot wait for every task, itself included");
        return nullptr;
    }
    JoinResult result = JoinResult::empty;
    while (result == JoinResult::empty && first_active_pool() != nullptr) {
        PyObject* const pool = Py_NewRef(as_object(first_active_pool()));
        result = join_pool(as_pool(pool), *deadline);
        Py_DECREF(pool);
    }
    return result == JoinResult::raised ? nullptr : PyBool_FromLong(result == JoinResult::empty);
}

PyMethodDef pool_functions[] = {
    {"_join_all", join_all, METH_O,
     "_join_all(timeout, /)\n--\n\nWait until no pool has a task; False if that was not in time."},
    {"_set_default_pool", set_default_pool, METH_O,
     "_set_default_pool(pool, /)\n--\n\nSay which pool Task.start() uses."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

PoolObject* default_pool() {
    return g_default_pool != nullptr ? g_default_pool : g_internal_pool;
}

PoolObject* internal_pool() {
    return g_internal_pool;
}

int add_pool_type(PyObject* module) {
    PyObject* const type = PyType_FromModuleAndSpec(module, &pool_spec, nullptr);
    if (type == nullptr || PyModule_AddObjectRef(module, "Pool", type) != 0 ||
        PyModule_AddFunctions(module, pool_functions) != 0) {
        Py_XDECREF(type);
        return -1;
    }
    g_pool_type = reinterpret_cast<PyTypeObject*>(type);
    g_internal_pool = as_pool(PyObject_CallNoArgs(type));
    return g_internal_pool != nullptr ? 0 : -1;
}

}  // namespace gilpool::bindings
