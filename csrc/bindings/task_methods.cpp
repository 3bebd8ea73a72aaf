// bindings/task_methods.cpp: methods of gilpool.Task.
#include "bindings/task_methods.hpp"

#include "bindings/arguments.hpp"
#include "bindings/compat.hpp"
#include "bindings/errors.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/native_work.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_kill.hpp"
#include "bindings/task_links.hpp"
#include "bindings/task_type.hpp"
#include "bindings/waiting.hpp"
#include "bindings/worker_threads.hpp"

namespace gilpool::bindings {

namespace {

// --- waiting ---

/// Waits until the task is done. False with an exception set: interrupted, killed, or can never be
/// done. `timed_out` says whether the wait ran out, which is no error here.
bool wait_until_done(TaskObject* task, core::TimePoint deadline, bool* timed_out) {
    *timed_out = false;
    if (task->state == TaskState::done) {
        return true;
    }
    if (task == current_task()) {
        PyErr_SetString(PyExc_RuntimeError, "a task cannot wait for itself");
        return false;
    }
    if (initializer_may_not_wait(task->pool)) {
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

PyObject* get(PyObject* self, PyObject* args, PyObject* kwargs) {
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
    bool timed_out = block == 0 && task->state != TaskState::done;
    if (block != 0 && !wait_until_done(task, *deadline, &timed_out)) {
        return nullptr;
    }
    if (timed_out) {
        PyErr_Format(error_types.wait_timeout, "%R is not done yet", self);
        return nullptr;
    }
    return task_result(task);
}

PyObject* join(PyObject* self, PyObject* args, PyObject* kwargs) {
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

PyObject* ready(PyObject* self, PyObject*) {
    return PyBool_FromLong(as_task(self)->state == TaskState::done);
}

PyObject* successful(PyObject* self, PyObject*) {
    return PyBool_FromLong(as_task(self)->state == TaskState::done &&
                           as_task(self)->exception == nullptr);
}

// --- starting and ending ---

PyObject* start(PyObject* self, PyObject*) {
    if (as_task(self)->state == TaskState::fresh && !start_task(default_pool(), as_task(self))) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* kill(PyObject* self, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {"exception", "block", "timeout", nullptr};
    PyObject* exception_argument = nullptr;
    int block = 1;
    PyObject* timeout = nullptr;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "|OpO:kill", const_cast<char**>(names),
                                    &exception_argument, &block, &timeout) == 0) {
        return nullptr;
    }
    const std::optional<core::TimePoint> deadline = timeout_argument(timeout, "timeout");
    if (!deadline) {
        return nullptr;
    }
    TaskObject* const task = as_task(self);
    if (task->state == TaskState::done) {
        Py_RETURN_NONE;
    }
    PyObject* const exception = kill_exception_argument(exception_argument);
    if (exception == nullptr || !kill_task(task, exception)) {
        return nullptr;
    }
    bool timed_out = false;
    if (block != 0 && !wait_until_done(task, *deadline, &timed_out)) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* cancel(PyObject* self, PyObject* args) {
    PyObject* exception_argument = nullptr;
    if (PyArg_ParseTuple(args, "|O:_cancel", &exception_argument) == 0) {
        return nullptr;
    }
    PyObject* const exception = kill_exception_argument(exception_argument);
    return exception != nullptr ? PyBool_FromLong(cancel_task(as_task(self), exception)) : nullptr;
}

PyObject* is_waited_for(PyObject* self, PyObject*) {
    const TaskObject* const task = as_task(self);
    return PyBool_FromLong(!task->waiters.empty() || has_mailbox_link(task));
}

/// False with an exception set if there is something in the list that has no kill().
bool all_can_be_killed(PyObject* list) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); ++i) {
        PyObject* const item = PyList_GET_ITEM(list, i);
        if (!PyObject_TypeCheck(item, task_type) && PyObject_HasAttrString(item, "kill") == 0) {
            PyErr_Format(PyExc_TypeError, "only tasks can be killed, not %.200s",
                         Py_TYPE(item)->tp_name);
            return false;
        }
    }
    return true;
}

PyObject* cancel_tasks(PyObject*, PyObject* args) {
    PyObject* tasks = nullptr;
    PyObject* exception_argument = nullptr;
    int tasks_only = 1;
    if (PyArg_ParseTuple(args, "O!O|p:_cancel_tasks", &PyList_Type, &tasks, &exception_argument,
                         &tasks_only) == 0 ||
        (tasks_only != 0 && !all_can_be_killed(tasks))) {
        return nullptr;
    }
    PyObject* const others = PyList_New(0);
    for (Py_ssize_t i = 0; others != nullptr && i < PyList_GET_SIZE(tasks); ++i) {
        PyObject* const item = Py_NewRef(PyList_GET_ITEM(tasks, i));
        bool ok = true;
        bool cancelled = false;
        if (PyObject_TypeCheck(item, task_type)) {
            PyObject* const exception = kill_exception_argument(exception_argument);
            ok = exception != nullptr;
            cancelled = ok && cancel_task(as_task(item), exception);
        }
        ok = ok && (cancelled || PyList_Append(others, item) == 0);
        Py_DECREF(item);
        if (!ok) {
            Py_DECREF(others);
            return nullptr;
        }
    }
    return others;
}

PyMethodDef cancel_functions[] = {
    {"_cancel_tasks", cancel_tasks, METH_VARARGS,
     "_cancel_tasks(tasks, exception, tasks_only=True, /)\n--\n\n"
     "Kill the tasks of a list that have not begun, before any other thread can begin one; return\n"
     "the list of the others. TypeError with `tasks_only` if one has no kill(), before any is\n"
     "killed. GIL: held, and not let go in between."},
    {nullptr, nullptr, 0, nullptr}};

// --- links ---

template <LinkKind kind>
PyObject* link(PyObject* self, PyObject* callback) {
    if (!add_link(as_task(self), callback, kind)) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyObject* unlink(PyObject* self, PyObject* callback) {
    if (!remove_link(as_task(self), callback)) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

// --- tables ---

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
PyDoc_STRVAR(start_doc,
             "start($self, /)\n--\n\n"
             "Queue the task on the default pool; does nothing if it has been started or killed.");
PyDoc_STRVAR(
    kill_doc,
    "kill($self, /, exception=TaskExit, block=True, timeout=None)\n--\n\n"
    "Ask the task to end by raising `exception` in it; wait until it has, unless told not to.\n\n"
    "One that has not begun never runs. A running one gets the exception at its next Python\n"
    "instruction, or at once in a wait or sleep of gilpool's; other C code is not interrupted,\n"
    "and the task ends when it returns. The task may catch the exception and go on. With\n"
    "`timeout` the wait, not the kill, ends after so many seconds. Killing a task that is done\n"
    "does nothing; a task that kills itself raises the exception here. A type is called here,\n"
    "without arguments; an instance is the very one that the task can catch.\n\n"
    "TypeError when `exception` is no exception type or instance, or a type that needs arguments.");
PyDoc_STRVAR(
    link_doc,
    "link($self, callback, /)\n--\n\n"
    "Have callback(task) called, on the worker, once the task is done, in the order of linking.\n\n"
    "Also when it is done already: then on another worker, soon. What a callback raises goes to\n"
    "sys.unraisablehook.");
PyDoc_STRVAR(link_value_doc,
             "link_value($self, callback, /)\n--\n\nLike link, if the task ends successfully.");
PyDoc_STRVAR(
    link_exception_doc,
    "link_exception($self, callback, /)\n--\n\nLike link, if the task ends with an exception.");
PyDoc_STRVAR(
    rawlink_doc,
    "rawlink($self, callback, /)\n--\n\n"
    "Like link, but called before what link and its like have linked: keep it short.\n\n"
    "It is what gilpool's own wait functions ask of whatever they wait for. gevent's wait and\n"
    "joinall cannot take a Task: their callbacks must run in a hub, links run on a worker. A\n"
    "greenlet waits with gevent.get_hub().threadpool.apply(task.get).");
PyDoc_STRVAR(unlink_doc,
             "unlink($self, callback, /)\n--\n\n"
             "Remove the first link with a callback equal to this one; nothing if there is none.");

}  // namespace

PyMethodDef task_methods[] = {
    {"get", keyword_method(get), METH_VARARGS | METH_KEYWORDS, get_doc},
    {"join", keyword_method(join), METH_VARARGS | METH_KEYWORDS, join_doc},
    {"ready", ready, METH_NOARGS, ready_doc},
    {"successful", successful, METH_NOARGS, successful_doc},
    {"start", start, METH_NOARGS, start_doc},
    {"kill", keyword_method(kill), METH_VARARGS | METH_KEYWORDS, kill_doc},
    {"_is_waited_for", is_waited_for, METH_NOARGS,
     "_is_waited_for($self, /)\n--\n\nTrue while somebody waits for it: in get or join, or in one "
     "of gilpool's functions."},
    {"_cancel", cancel, METH_VARARGS,
     "_cancel($self, exception=TaskExit, /)\n--\n\nKill the task if it has not begun; True if it "
     "had not."},
    {"link", link<LinkKind::always>, METH_O, link_doc},
    {"link_value", link<LinkKind::on_value>, METH_O, link_value_doc},
    {"link_exception", link<LinkKind::on_exception>, METH_O, link_exception_doc},
    {"rawlink", link<LinkKind::raw>, METH_O, rawlink_doc},
    {"unlink", unlink, METH_O, unlink_doc},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "Task[T]: a task that returns T."},
    {nullptr, nullptr, 0, nullptr}};

PyObject* task_result(TaskObject* task) {
    if (task->exception != nullptr) {
        task->exception_seen = true;
        raise_exception(Py_NewRef(task->exception));
        return nullptr;
    }
    return Py_NewRef(task->value);
}

PyObject* task_repr(PyObject* self) {
    TaskObject* const task = as_task(self);
    const char* state = "done";
    switch (task->state) {
        case TaskState::fresh:
            state = "not started";
            break;
        case TaskState::queued:
            state = "queued";
            break;
        case TaskState::running:
            state = task->native != nullptr && task->native->is_queued() ? "queued" : "running";
            break;
        case TaskState::done:
            state = task->exception != nullptr ? "failed" : "done";
            break;
    }
    PyObject* const name = task_name(task);
    if (name == nullptr) {
        return nullptr;
    }
    const char* type_name = Py_TYPE(self) == task_type ? "Task" : Py_TYPE(self)->tp_name;
    PyObject* const repr = PyUnicode_FromFormat("<%s %U %s at %p>", type_name, name, state, self);
    Py_DECREF(name);
    return repr;
}

PyObject* task_await(PyObject* self) {
    PyObject* const module = PyImport_ImportModule("gilpool._await");
    if (module == nullptr) {
        return nullptr;
    }
    PyObject* const iterator = PyObject_CallMethod(module, "wait_for", "O", self);
    Py_DECREF(module);
    return iterator;
}

namespace {

PyObject* getcurrent(PyObject*, PyObject*) {
    TaskObject* const task = current_task();
    return task != nullptr ? Py_NewRef(as_object(task)) : Py_NewRef(Py_None);
}

PyMethodDef getcurrent_functions[] = {
    {"getcurrent", getcurrent, METH_NOARGS,
     "getcurrent()\n--\n\nThe Task that the calling thread runs, or None."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

int add_getcurrent(PyObject* module) {
    return PyModule_AddFunctions(module, getcurrent_functions);
}

int add_cancel_tasks(PyObject* module) {
    return PyModule_AddFunctions(module, cancel_functions);
}

}  // namespace gilpool::bindings
