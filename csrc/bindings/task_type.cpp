// bindings/task_type.cpp: life, run and methods of gilpool.Task.
#include "bindings/task_type.hpp"

#include <structmember.h>

#include <cstddef>
#include <new>

#include "bindings/arguments.hpp"
#include "bindings/compat.hpp"
#include "bindings/errors.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/waiting.hpp"

namespace gilpool::bindings {

PyTypeObject* task_type = nullptr;

namespace {

constinit thread_local TaskObject* t_current_task = nullptr;

TaskObject* as_task(PyObject* self) {
    return reinterpret_cast<TaskObject*>(self);
}

/// A short text that names `function` in a repr: its qualified name, else its repr.
PyObject* label_of(PyObject* function) {
    PyObject* label = PyObject_GetAttrString(function, "__qualname__");
    if (label != nullptr && PyUnicode_Check(label)) {
        return label;
    }
    Py_XDECREF(label);
    PyErr_Clear();
    return PyObject_Repr(function);
}

/// Drops what only the call needed. May run arbitrary destructors, so nothing is assumed
/// afterwards.
void drop_call(TaskObject* task) {
    Py_CLEAR(task->function);
    Py_CLEAR(task->args);
    Py_CLEAR(task->kwargs);
}

/// Stores how the task ended, wakes who waits for it and gives up everything but the result.
/// Takes the reference to the task.
void finish_task(TaskObject* task, PyObject* value, PyObject* exception) {
    task->value = value;
    task->exception = exception;
    task->state = TaskState::done;
    PoolObject* const pool = task->pool;
    task->pool = nullptr;
    task_left_pool(pool);
    task->waiters.notify_all();
    drop_call(task);
    Py_DECREF(reinterpret_cast<PyObject*>(pool));
    Py_DECREF(reinterpret_cast<PyObject*>(task));
}

/// A TaskExit is how a task is asked to end, so it counts as success with the exception as value.
void finish_task_with_exception(TaskObject* task, PyObject* exception) {
    if (PyErr_GivenExceptionMatches(exception, error_types.task_exit) != 0) {
        finish_task(task, exception, nullptr);
    } else {
        finish_task(task, nullptr, exception);
    }
}

/// Calls in a fresh context, so that nothing a task sets leaks into the next one on the same
/// worker.
PyObject* call_in_fresh_context(TaskObject* task) {
    PyObject* const context = PyContext_New();
    if (context == nullptr || PyContext_Enter(context) != 0) {
        Py_XDECREF(context);
        return nullptr;
    }
    PyObject* result = PyObject_Call(task->function, task->args, task->kwargs);
    PyObject* const raised = result == nullptr ? take_raised_exception() : nullptr;
    if (PyContext_Exit(context) != 0) {
        PyErr_Clear();
    }
    Py_DECREF(context);
    if (raised != nullptr) {
        raise_exception(raised);
    }
    return result;
}

// --- waiting
// -----------------------------------------------------------------------------------------

/// Waits until the task is done. False with an exception set: interrupted, or can never be done.
/// `timed_out` says whether the wait ran out, which is no error here.
bool wait_until_done(TaskObject* task, core::TimePoint deadline, bool* timed_out) {
    *timed_out = false;
    if (task->state == TaskState::done) {
        return true;
    }
    if (task == current_task()) {
        PyErr_SetString(PyExc_RuntimeError, "a task cannot wait for itself");
        return false;
    }
    if (workers_are_gone()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the task was abandoned when the interpreter shut down");
        return false;
    }
    ListedWaiter waiter(task->waiters);
    const WaitOutcome outcome = waiter.wait_until(deadline);
    *timed_out = outcome == WaitOutcome::timed_out && task->state != TaskState::done;
    return outcome != WaitOutcome::raised;
}

PyObject* task_get(PyObject* self, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {"block", "timeout", nullptr};
    int block = 1;
    PyObject* timeout = nullptr;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "|pO:get", const_cast<char**>(names), &block,
                                    &timeout) == 0) {
        return nullptr;
    }
    const std::optional<core::TimePoint> deadline = timeout_argument(timeout, "timeout");
    if (!deadline) {
        return nullptr;
    }
    TaskObject* const task = as_task(self);
    bool timed_out = false;
    if (!block) {
        timed_out = task->state != TaskState::done;
    } else if (!wait_until_done(task, *deadline, &timed_out)) {
        return nullptr;
    }
    if (timed_out) {
        PyErr_Format(error_types.wait_timeout, "%R is not done yet", self);
        return nullptr;
    }
    if (task->exception != nullptr) {
        task->exception_seen = true;
        Py_INCREF(task->exception);
        raise_exception(task->exception);
        return nullptr;
    }
    return Py_NewRef(task->value);
}

PyObject* task_join(PyObject* self, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {"timeout", nullptr};
    PyObject* timeout = nullptr;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "|O:join", const_cast<char**>(names), &timeout) ==
        0) {
        return nullptr;
    }
    const std::optional<core::TimePoint> deadline = timeout_argument(timeout, "timeout");
    bool timed_out = false;
    if (!deadline || !wait_until_done(as_task(self), *deadline, &timed_out)) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* task_ready(PyObject* self, PyObject*) {
    return PyBool_FromLong(as_task(self)->state == TaskState::done);
}

PyObject* task_successful(PyObject* self, PyObject*) {
    return PyBool_FromLong(as_task(self)->state == TaskState::done &&
                           as_task(self)->exception == nullptr);
}

PyObject* task_value(PyObject* self, void*) {
    PyObject* const value = as_task(self)->value;
    return Py_NewRef(value != nullptr ? value : Py_None);
}

PyObject* task_exception(PyObject* self, void*) {
    PyObject* const exception = as_task(self)->exception;
    as_task(self)->exception_seen = true;
    return Py_NewRef(exception != nullptr ? exception : Py_None);
}

PyObject* task_started(PyObject* self, void*) {
    return PyBool_FromLong(as_task(self)->state != TaskState::queued);
}

PyObject* task_name(PyObject* self, void*) {
    return Py_NewRef(as_task(self)->label);
}

PyObject* task_repr(PyObject* self) {
    TaskObject* const task = as_task(self);
    const char* state = "queued";
    if (task->state == TaskState::running) {
        state = "running";
    } else if (task->state == TaskState::done) {
        state = task->exception != nullptr ? "failed" : "done";
    }
    return PyUnicode_FromFormat("<Task %U %s at %p>", task->label, state, self);
}

// --- life
// --------------------------------------------------------------------------------------------

int task_traverse(PyObject* self, visitproc visit, void* arg) {
    TaskObject* const task = as_task(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(task->function);
    Py_VISIT(task->args);
    Py_VISIT(task->kwargs);
    Py_VISIT(task->value);
    Py_VISIT(task->exception);
    Py_VISIT(task->label);
    Py_VISIT(reinterpret_cast<PyObject*>(task->pool));
    return 0;
}

int task_clear(PyObject* self) {
    TaskObject* const task = as_task(self);
    drop_call(task);
    Py_CLEAR(task->value);
    Py_CLEAR(task->exception);
    return 0;
}

/// Errors never pass silently: an exception nobody fetched goes to threading.excepthook.
void report_unseen_exception(TaskObject* task) {
    task->exception_seen = true;
    PyObject* const threading = PyImport_ImportModule("threading");
    PyObject* const arguments_type =
        threading != nullptr ? PyObject_GetAttrString(threading, "ExceptHookArgs") : nullptr;
    PyObject* const traceback = PyException_GetTraceback(task->exception);
    PyObject* const arguments =
        arguments_type != nullptr
            ? PyObject_CallFunction(arguments_type, "((OOOO))", Py_TYPE(task->exception),
                                    task->exception, traceback != nullptr ? traceback : Py_None,
                                    Py_None)
            : nullptr;
    PyObject* const hook =
        arguments != nullptr ? PyObject_GetAttrString(threading, "excepthook") : nullptr;
    // Not PyObject_CallFunction: that would unpack the arguments, which are a tuple.
    PyObject* const result = hook != nullptr ? PyObject_CallOneArg(hook, arguments) : nullptr;
    if (result == nullptr) {
        PyErr_WriteUnraisable(task->label);
    }
    Py_XDECREF(result);
    Py_XDECREF(hook);
    Py_XDECREF(arguments);
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

void task_dealloc(PyObject* self) {
    if (PyObject_CallFinalizerFromDealloc(self) < 0) {
        return;  // resurrected
    }
    TaskObject* const task = as_task(self);
    PyObject_GC_UnTrack(self);
    if (task->weakrefs != nullptr) {
        PyObject_ClearWeakRefs(self);
    }
    task_clear(self);
    Py_CLEAR(task->label);
    task->waiters.~WaitList();
    task->stop.~StopToken();
    PyTypeObject* const type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

// --- tables
// ------------------------------------------------------------------------------------------

PyDoc_STRVAR(
    task_doc,
    "The handle of one spawned call.\n\n"
    "Made by Pool.spawn; may be asked and waited for from any thread, any number of times.\n"
    "An exception that nobody fetches is reported through threading.excepthook when the task\n"
    "is dropped.");
PyDoc_STRVAR(
    get_doc,
    "get($self, /, block=True, timeout=None)\n--\n\n"
    "Return what the call returned, or raise what it raised.\n\n"
    "Waits, with the GIL released, up to `timeout` seconds; WaitTimeout (a TimeoutError) when\n"
    "that is over, or at once when not done and `block` is false. In the main thread Ctrl-C\n"
    "ends the wait. RuntimeError when a task waits for itself.");
PyDoc_STRVAR(
    join_doc,
    "join($self, /, timeout=None)\n--\n\n"
    "Wait, with the GIL released, until the task is done or `timeout` seconds are over.\n\n"
    "Returns None either way and never raises the task's exception.");
PyDoc_STRVAR(ready_doc, "ready($self, /)\n--\n\nTrue once the task is done, however it ended.");
PyDoc_STRVAR(successful_doc,
             "successful($self, /)\n--\n\n"
             "True once the task is done and did not raise; a TaskExit counts as success.");

PyMethodDef task_methods[] = {
    {"get", keyword_method(task_get), METH_VARARGS | METH_KEYWORDS, get_doc},
    {"join", keyword_method(task_join), METH_VARARGS | METH_KEYWORDS, join_doc},
    {"ready", task_ready, METH_NOARGS, ready_doc},
    {"successful", task_successful, METH_NOARGS, successful_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Task[T]: a task that returns T."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef task_getset[] = {
    {"value", task_value, nullptr, "What the call returned; None until then or if it raised.",
     nullptr},
    {"exception", task_exception, nullptr, "What the call raised, or None.", nullptr},
    {"started", task_started, nullptr, "True once the task has begun to run or has been cancelled.",
     nullptr},
    {"name", task_name, nullptr, "The name of the function that was spawned.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef task_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(TaskObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot task_slots[] = {{Py_tp_doc, const_cast<char*>(task_doc)},
                            {Py_tp_traverse, reinterpret_cast<void*>(task_traverse)},
                            {Py_tp_clear, reinterpret_cast<void*>(task_clear)},
                            {Py_tp_finalize, reinterpret_cast<void*>(task_finalize)},
                            {Py_tp_dealloc, reinterpret_cast<void*>(task_dealloc)},
                            {Py_tp_repr, reinterpret_cast<void*>(task_repr)},
                            {Py_tp_methods, task_methods},
                            {Py_tp_getset, task_getset},
                            {Py_tp_members, task_members},
                            {0, nullptr}};

PyType_Spec task_spec = {
    "gilpool.Task", sizeof(TaskObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION, task_slots};

}  // namespace

int add_task_type(PyObject* module) {
    task_type =
        reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &task_spec, nullptr));
    if (task_type == nullptr) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "Task", reinterpret_cast<PyObject*>(task_type));
}

TaskObject* new_task(PoolObject* pool, PyObject* function, PyObject* args, PyObject* kwargs) {
    PyObject* const label = label_of(function);
    if (label == nullptr) {
        return nullptr;
    }
    TaskObject* const task = PyObject_GC_New(TaskObject, task_type);
    if (task == nullptr) {
        Py_DECREF(label);
        return nullptr;
    }
    task->function = Py_NewRef(function);
    task->args = Py_NewRef(args);
    task->kwargs = Py_XNewRef(kwargs);
    task->value = nullptr;
    task->exception = nullptr;
    task->label = label;
    task->weakrefs = nullptr;
    task->pool = reinterpret_cast<PoolObject*>(Py_NewRef(reinterpret_cast<PyObject*>(pool)));
    task->previous = nullptr;
    task->next = nullptr;
    task->state = TaskState::queued;
    task->exception_seen = false;
    new (&task->waiters) core::WaitList;
    new (&task->stop) core::StopToken;
    PyObject_GC_Track(reinterpret_cast<PyObject*>(task));
    return task;
}

TaskObject* current_task() {
    return t_current_task;
}

void run_task(TaskObject* task) {
    task->state = TaskState::running;
    t_current_task = task;
    PyObject* const value = call_in_fresh_context(task);
    PyObject* const exception = value == nullptr ? take_raised_exception() : nullptr;
    t_current_task = nullptr;
    unlink_running(task);
    if (exception != nullptr) {
        finish_task_with_exception(task, exception);
    } else {
        finish_task(task, value, nullptr);
    }
}

void end_unstarted_task(TaskObject* task, PyObject* outcome) {
    finish_task_with_exception(task, outcome);
}

void fail_inherited_task(TaskObject* task) {
    // Waiters and their stacks belong to threads that do not exist in the child.
    new (&task->waiters) core::WaitList;
    PyObject* const error = PyObject_CallFunction(
        PyExc_RuntimeError, "s", "the process forked: this task belongs to the parent process");
    if (error == nullptr) {
        PyErr_Clear();
    }
    task->function = nullptr;
    task->args = nullptr;
    task->kwargs = nullptr;
    task->exception = error;
    task->exception_seen = true;
    task->state = TaskState::done;
    PoolObject* const pool = task->pool;
    task->pool = nullptr;
    task_left_pool(pool);
    Py_DECREF(reinterpret_cast<PyObject*>(pool));
    Py_DECREF(reinterpret_cast<PyObject*>(task));
}

}  // namespace gilpool::bindings
