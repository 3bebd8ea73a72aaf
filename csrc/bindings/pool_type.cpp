// bindings/pool_type.cpp: life and tables of gilpool's Pool.
#include "bindings/pool_type.hpp"

#include <structmember.h>

#include <cstddef>
#include <new>

#include "bindings/arguments.hpp"
#include "bindings/compat.hpp"
#include "bindings/pool_methods.hpp"
#include "bindings/scheduler.hpp"

namespace gilpool::bindings {

namespace {

PoolObject* g_default_pool = nullptr;
PoolObject* g_internal_pool = nullptr;
PoolObject* g_set_aside = nullptr;

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
    if (initargs != nullptr && Py_TYPE(initargs)->tp_iter == nullptr &&
        PySequence_Check(initargs) == 0) {
        PyErr_Format(PyExc_TypeError, "initargs must be an iterable, not %.200s",
                     Py_TYPE(initargs)->tp_name);
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

PoolObject* pool_of_the_set_aside() {
    return g_set_aside;
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
    g_set_aside = as_pool(PyObject_CallNoArgs(type));
    if (g_internal_pool == nullptr || g_set_aside == nullptr) {
        return -1;
    }
    g_set_aside->daemon = true;
    return 0;
}

}  // namespace gilpool::bindings
