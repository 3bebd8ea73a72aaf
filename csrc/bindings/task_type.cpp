// bindings/task_type.cpp: life and tables of gilpool.Task.
#include "bindings/task_type.hpp"

#include <structmember.h>

#include <cstddef>
#include <new>

#include "bindings/compat.hpp"
#include "bindings/errors.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_kill.hpp"
#include "bindings/task_methods.hpp"
#include "bindings/task_storage.hpp"

namespace gilpool::bindings {

PyTypeObject* task_type = nullptr;
Py_ssize_t live_tasks = 0;

namespace {

/// Task(function, /, *args, **kwargs)
PyObject* task_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
    const Py_ssize_t given = PyTuple_GET_SIZE(args);
    if (given == 0) {
        PyErr_SetString(PyExc_TypeError, "Task() needs a function to call");
        return nullptr;
    }
    PyObject* const function = PyTuple_GET_ITEM(args, 0);
    const Py_ssize_t keywords = kwargs != nullptr ? PyDict_GET_SIZE(kwargs) : 0;
    PyObject* const names = keywords > 0 ? PySequence_Tuple(kwargs) : nullptr;
    PyObject* const values = keywords > 0 ? PyDict_Values(kwargs) : nullptr;
    PyObject* const all = values != nullptr ? PySequence_Tuple(values) : nullptr;
    PyObject* flat = nullptr;
    if (keywords == 0 || (names != nullptr && all != nullptr)) {
        flat = keywords > 0 ? PySequence_Concat(args, all) : Py_NewRef(args);
    }
    TaskObject* task = nullptr;
    if (flat != nullptr) {
        task = new_task(type, function, &PyTuple_GET_ITEM(flat, 1), given - 1, names);
        if (task != nullptr) {  // the user may put it into a cycle before it is started
            PyObject_GC_Track(as_object(task));
        }
    }
    Py_XDECREF(flat);
    Py_XDECREF(all);
    Py_XDECREF(values);
    Py_XDECREF(names);
    return as_object(task);
}

int task_traverse(PyObject* self, visitproc visit, void* arg) {
    TaskObject* const task = as_task(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(task->function);
    for (Py_ssize_t i = 0; i < task->positional + task->keywords; ++i) {
        Py_VISIT(task->arguments[i]);
    }
    Py_VISIT(task->value);
    Py_VISIT(task->exception);
    Py_VISIT(task->name);
    Py_VISIT(task->context);
    Py_VISIT(task->links);
    Py_VISIT(task->kill_with);
    Py_VISIT(reinterpret_cast<PyObject*>(task->pool));
    return 0;
}

int task_clear(PyObject* self) {
    TaskObject* const task = as_task(self);
    drop_call(task);
    Py_CLEAR(task->value);
    Py_CLEAR(task->exception);
    Py_CLEAR(task->links);
    Py_CLEAR(task->kill_with);
    return 0;
}

/// Stands for the task where a hook expects a thread: never started, it has the task's name.
PyObject* thread_named_after(TaskObject* task, PyObject* threading) {
    PyObject* const name = task_name(task);
    PyObject* const thread =
        name != nullptr ? PyObject_CallMethod(threading, "Thread", "OOO", Py_None, Py_None, name)
                        : nullptr;
    Py_XDECREF(name);
    return thread;
}

/// Errors never pass silently: an exception nobody fetched goes to threading.excepthook.
void report_unseen_exception(TaskObject* task) {
    task->exception_seen = true;
    PyObject* const threading = PyImport_ImportModule("threading");
    PyObject* const arguments_type =
        threading != nullptr ? PyObject_GetAttrString(threading, "ExceptHookArgs") : nullptr;
    PyObject* const traceback = PyException_GetTraceback(task->exception);
    PyObject* const thread =
        arguments_type != nullptr ? thread_named_after(task, threading) : nullptr;
    PyObject* const arguments =
        thread != nullptr ? PyObject_CallFunction(
                                arguments_type, "((OOOO))", Py_TYPE(task->exception),
                                task->exception, traceback != nullptr ? traceback : Py_None, thread)
                          : nullptr;
    PyObject* const hook =
        arguments != nullptr ? PyObject_GetAttrString(threading, "excepthook") : nullptr;
    // Not PyObject_CallFunction: that would unpack the arguments, which are a tuple.
    PyObject* const result = hook != nullptr ? PyObject_CallOneArg(hook, arguments) : nullptr;
    if (result == nullptr) {
        PyErr_WriteUnraisable(as_object(task));
    }
    Py_XDECREF(result);
    Py_XDECREF(hook);
    Py_XDECREF(arguments);
    Py_XDECREF(thread);
    Py_XDECREF(traceback);
    Py_XDECREF(arguments_type);
    Py_XDECREF(threading);
}

void task_finalize(PyObject* self) {
    TaskObject* const task = as_task(self);
    if (task->exception == nullptr || task->exception_seen || interpreter_is_finalizing()) {
        return;
    }
    PyObject* const pending = PyErr_Occurred() != nullptr ? take_raised_exception() : nullptr;
    report_unseen_exception(task);
    if (pending != nullptr) {
        raise_exception(pending);
    }
}

/// Gives up what it holds, and its memory. One that the collector has finalized says so in a word
/// that only the collector may write, so that memory is not used again.
void dismantle(TaskObject* task, bool may_be_finalized) {
    PyObject* const self = as_object(task);
    if (task->weakrefs != nullptr) {
        PyObject_ClearWeakRefs(self);
    }
    task_clear(self);
    Py_CLEAR(task->name);
    delete task->times;
    --live_tasks;
    task->waiters.~WaitList();
    PyTypeObject* const type = Py_TYPE(self);
    if (type != task_type) {
        type->tp_free(self);
    } else if (may_be_finalized && PyObject_GC_IsFinalized(self) != 0) {
        PyObject_GC_Del(self);
    } else {
        free_task(task);
    }
    Py_DECREF(type);
}

void task_dealloc(PyObject* self) {
    TaskObject* const task = as_task(self);
    const bool tracked = PyObject_GC_IsTracked(self) != 0;
    if (Py_TYPE(self) == task_type && task->exception == nullptr) {
        if (!tracked && task->function == nullptr && task->links == nullptr) {
            dismantle(task, false);  // has ended, with nothing that holds something else
            return;
        }
    } else if (PyObject_CallFinalizerFromDealloc(self) < 0) {
        // Only an error to report, or a subclass with a finalizer of its own, needs the ceremony.
        return;  // resurrected
    }
    if (PyObject_GC_IsTracked(self) != 0) {
        PyObject_GC_UnTrack(self);
    }
    // A task may be the last to hold another one, which holds another one ...: not on the C stack.
    Py_TRASHCAN_BEGIN(self, task_dealloc) dismantle(task, true);
    Py_TRASHCAN_END
}

PyMemberDef task_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TaskObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyDoc_STRVAR(
    task_doc,
    "Task(function, /, *args, **kwargs)\n--\n\n"
    "The handle of one call that runs, or will run, on a native thread.\n\n"
    "Pool.spawn makes and starts one; made directly it waits for start(), on the default pool,\n"
    "or Pool.start(). May be asked and waited for from any thread, any number of times, also\n"
    "with await. An exception that nobody fetches is reported through threading.excepthook\n"
    "when the task is dropped, or at the interpreter's exit.\n\n"
    "A task sets itself up in __new__, so a subclass with other arguments overrides that:\n\n"
    "    >>> import gilpool\n"
    "    >>> class Power(gilpool.Task):\n"
    "    ...     def __new__(cls, exponent):\n"
    "    ...         return super().__new__(cls, pow, 2, exponent)\n"
    "    >>> task = Power(10)\n"
    "    >>> task.start()\n"
    "    >>> task.get()\n"
    "    1024\n\n"
    "Thread safety: every method may be called from any thread.\n"
    "GIL: held, except in get, join and kill while they wait.");

PyType_Slot task_slots[] = {{Py_tp_doc, const_cast<char*>(task_doc)},
                            {Py_tp_new, reinterpret_cast<void*>(task_new)},
                            {Py_tp_traverse, reinterpret_cast<void*>(task_traverse)},
                            {Py_tp_clear, reinterpret_cast<void*>(task_clear)},
                            {Py_tp_finalize, reinterpret_cast<void*>(task_finalize)},
                            {Py_tp_dealloc, reinterpret_cast<void*>(task_dealloc)},
                            {Py_tp_repr, reinterpret_cast<void*>(task_repr)},
                            {Py_am_await, reinterpret_cast<void*>(task_await)},
                            {Py_tp_methods, task_methods},
                            {Py_tp_getset, task_getset},
                            {Py_tp_members, task_members},
                            {0, nullptr}};

PyType_Spec task_spec = {"gilpool.Task", sizeof(TaskObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE, task_slots};

}  // namespace

int add_task_type(PyObject* module) {
    task_type =
        reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &task_spec, nullptr));
    if (task_type == nullptr || prepare_kill() != 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "Task", reinterpret_cast<PyObject*>(task_type));
}

TaskObject* new_task(PyTypeObject* type, PyObject* function, PyObject* const* arguments,
                     Py_ssize_t positional, PyObject* keyword_names) {
    if (PyCallable_Check(function) == 0) {
        PyErr_Format(PyExc_TypeError, "function must be callable, not %.200s",
                     Py_TYPE(function)->tp_name);
        return nullptr;
    }
    TaskObject* task = nullptr;
    if (type == task_type) {
        task = allocate_task(type);
    } else {  // a subclass has a __dict__ and slots to be zeroed, too
        task = as_task(type->tp_alloc(type, 0));
        if (task != nullptr) {
            PyObject_GC_UnTrack(as_object(task));
        }
    }
    if (task == nullptr) {
        return nullptr;
    }
    ++live_tasks;
    const bool stored = store_call(task, function, arguments, positional, keyword_names);
    task->value = nullptr;
    task->exception = nullptr;
    task->name = nullptr;
    task->static_name = nullptr;
    task->context = nullptr;
    task->links = nullptr;
    task->kill_with = nullptr;
    task->weakrefs = nullptr;
    task->pool = nullptr;
    task->previous = nullptr;
    task->next = nullptr;
    task->parked = nullptr;
    task->timer = nullptr;
    task->native = nullptr;
    task->bulk = nullptr;
    task->index = 0;
    task->times = nullptr;
    task->thread = 0;
    new (&task->waiters) core::WaitList;
    task->state = TaskState::fresh;
    task->exception_seen = false;
    task->lends_slot = false;
    task->stands_for_many = false;
    task->trace_number = 0;
    if (!stored) {
        Py_DECREF(as_object(task));
        PyErr_NoMemory();
        return nullptr;
    }
    return task;
}

}  // namespace gilpool::bindings
