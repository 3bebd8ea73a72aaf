// bindings/task_kill.cpp: the protocol of kill.
#include "bindings/task_kill.hpp"

#include <utility>

#include "bindings/compat.hpp"
#include "bindings/errors.hpp"
#include "bindings/native_work.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/task_run.hpp"
#include "bindings/task_timer.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

PyObject* type_of(PyObject* object) {
    return reinterpret_cast<PyObject*>(Py_TYPE(object));
}

/// A Python function. Made at import, when no exception can be pending; lives as long as the
/// interpreter.
PyObject* g_do_nothing = nullptr;

constinit thread_local std::uint32_t t_kills_delivered = 0;

PyObject* killing_instance(PyObject*, PyObject*) {
    const TaskObject* const task = current_task();
    if (task == nullptr || task->kill_with == nullptr) {
        return PyObject_CallNoArgs(error_types.task_exit);
    }
    return Py_NewRef(task->kill_with);
}

PyMethodDef g_killing_instance = {
    "killing_instance", killing_instance, METH_NOARGS,
    "killing_instance()\n--\n\nWhat the task of the calling thread is being killed with."};

/// The type to raise so that `exception` itself comes out. New reference.
PyObject* type_to_raise(PyObject* exception) {
    PyObject* const type = type_of(exception);
    if (type == error_types.task_exit &&
        PyTuple_GET_SIZE(reinterpret_cast<PyBaseExceptionObject*>(exception)->args) == 0) {
        return Py_NewRef(type);  // one is like the other
    }
    PyObject* const module = PyImport_ImportModule("gilpool._kill");
    PyObject* const instance = PyCFunction_New(&g_killing_instance, nullptr);
    PyObject* giver = nullptr;
    if (module != nullptr && instance != nullptr) {
        giver = PyObject_CallMethod(module, "type_that_gives", "OO", type, instance);
    }
    Py_XDECREF(instance);
    Py_XDECREF(module);
    if (giver == nullptr || !PyExceptionClass_Check(giver)) {  // it refuses to be subclassed
        PyErr_Clear();
        Py_XDECREF(giver);
        return Py_NewRef(type);
    }
    return giver;
}

/// Takes back the exception that is pending on the calling thread, if there is one.
///
/// Up to CPython 3.12 the interpreter notes in one flag that *some* thread has one, and only
/// raising it takes the note back: cancelled in the plain way it stands for good, every thread then
/// takes the slow path at every check, and a traced one hangs (3.11). So it is raised, where
/// nothing is, and dropped.
void take_back_asynchronous_exception(TaskObject* task) {
    // Raising may fail for want of stack or memory; and while it runs a second kill may come.
    for (int attempts = 0; asynchronous_exception_is_pending() && attempts < 10; ++attempts) {
        Py_XDECREF(PyObject_CallNoArgs(g_do_nothing));
        PyErr_Clear();
    }
    if (asynchronous_exception_is_pending()) {
        PyThreadState_SetAsyncExc(task->thread, nullptr);
    }
}

}  // namespace

bool cancel_task(TaskObject* task, PyObject* exception) {
    if (task->state == TaskState::running && task->native != nullptr && task->native->is_queued() &&
        task->native->end()) {
        NativeWork* const work = task->native;
        task->kill_with = exception;
        end_native_task(task, nullptr);
        delete work;
        return true;
    }
    switch (task->state) {
        case TaskState::fresh:
            cancel_timer(task);
            // Tracked by no pool; the internal one accounts for its end.
            adopt(internal_pool(), task);
            end_unstarted_task(as_task(Py_NewRef(as_object(task))), exception);
            return true;
        case TaskState::queued:
            unqueue(task);
            end_unstarted_task(task, exception);
            return true;
        case TaskState::running:
        case TaskState::done:
            break;
    }
    Py_DECREF(exception);
    return false;
}

bool kill_task(TaskObject* task, PyObject* exception) {
    if (task == current_task()) {
        raise_exception(exception);
        return false;
    }
    // First, since it may run any code: meanwhile the task may begin, or end.
    PyObject* const type = type_to_raise(exception);
    if (task->state != TaskState::running) {
        Py_DECREF(type);
        cancel_task(task, exception);
        return true;
    }
    if (task->native != nullptr) {
        Py_DECREF(type);
        kill_native(task, exception);
        return true;
    }
    PyObject* const superseded = task->kill_with;
    task->kill_with = exception;
    PyThreadState_SetAsyncExc(task->thread, type);
    if (task->parked != nullptr) {
        task->parked->unpark();
    }
    Py_DECREF(type);
    Py_XDECREF(superseded);  // last: its destructor may let the task go on, and end
    return true;
}

bool deliver_kill(TaskObject* task) {
    if (task == nullptr || task->kill_with == nullptr) {
        return false;
    }
    const bool raised_before = !asynchronous_exception_is_pending();
    take_back_asynchronous_exception(task);
    PyObject* const exception = std::exchange(task->kill_with, nullptr);
    if (raised_before || exception == nullptr) {  // null: finalizers that ran just now were hit
        Py_XDECREF(exception);
        return false;
    }
    ++t_kills_delivered;
    raise_exception(exception);
    return true;
}

std::uint32_t kills_delivered() {
    return t_kills_delivered;
}

bool was_killed_since(std::uint32_t kills_before) {
    const TaskObject* const task = current_task();
    return t_kills_delivered != kills_before || (task != nullptr && task->kill_with != nullptr);
}

void settle_kill(TaskObject* task, PyObject** value, PyObject** exception) {
    const bool never_raised = asynchronous_exception_is_pending();
    take_back_asynchronous_exception(task);
    PyObject* const killer = task->kill_with;
    task->kill_with = nullptr;
    const bool raised_from_type = *exception != nullptr && type_of(*exception) == type_of(killer);
    if (!never_raised && !raised_from_type) {
        Py_DECREF(killer);  // the task caught it and went on to an end of its own
        return;
    }
    if (raised_from_type) {
        PyObject* const traceback = PyException_GetTraceback(*exception);
        if (traceback != nullptr) {
            PyException_SetTraceback(killer, traceback);
            Py_DECREF(traceback);
        }
    }
    Py_XSETREF(*exception, killer);
    Py_CLEAR(*value);
}

int prepare_kill() {
    PyObject* const globals = PyDict_New();
    if (globals == nullptr) {
        return -1;
    }
    g_do_nothing = PyRun_String("lambda: None", Py_eval_input, globals, globals);
    Py_DECREF(globals);
    return g_do_nothing != nullptr ? 0 : -1;
}

PyObject* kill_exception_argument(PyObject* argument) {
    if (argument == nullptr || argument == Py_None) {
        return PyObject_CallNoArgs(error_types.task_exit);
    }
    if (PyExceptionInstance_Check(argument)) {
        return Py_NewRef(argument);
    }
    if (PyExceptionClass_Check(argument)) {
        PyObject* const instance = PyObject_CallNoArgs(argument);
        if (instance != nullptr && !PyExceptionInstance_Check(instance)) {
            Py_DECREF(instance);
            PyErr_SetString(PyExc_TypeError, "exception must make an exception when called");
            return nullptr;
        }
        return instance;
    }
    PyErr_Format(PyExc_TypeError, "exception must be an exception type or instance, not %.200s",
                 Py_TYPE(argument)->tp_name);
    return nullptr;
}

}  // namespace gilpool::bindings
