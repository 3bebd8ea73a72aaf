// bindings/task_attributes.cpp: attributes of gilpool.Task. GIL held.
#include "bindings/task_methods.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

PyObject* get_value(PyObject* self, void*) {
    PyObject* const value = as_task(self)->value;
    return Py_NewRef(value != nullptr ? value : Py_None);
}

PyObject* get_exception(PyObject* self, void*) {
    PyObject* const exception = as_task(self)->exception;
    if (exception == nullptr) {
        Py_RETURN_NONE;  // one that comes later has not been seen
    }
    as_task(self)->exception_seen = true;
    return Py_NewRef(exception);
}

PyObject* get_exc_info(PyObject* self, void*) {
    PyObject* const exception = as_task(self)->exception;
    if (exception == nullptr) {
        return PyTuple_New(0);
    }
    as_task(self)->exception_seen = true;
    PyObject* const traceback = PyException_GetTraceback(exception);
    PyObject* const info =
        PyTuple_Pack(3, Py_TYPE(exception), exception, traceback != nullptr ? traceback : Py_None);
    Py_XDECREF(traceback);
    return info;
}

PyObject* get_started(PyObject* self, void*) {
    return PyBool_FromLong(as_task(self)->state != TaskState::fresh);
}

PyObject* get_dead(PyObject* self, void*) {
    return PyBool_FromLong(as_task(self)->state == TaskState::done);
}

PyObject* get_name(PyObject* self, void*) {
    return task_name(as_task(self));
}

int set_name(PyObject* self, PyObject* value, void*) {
    if (value == nullptr || PyUnicode_Check(value) == 0) {
        PyErr_Format(PyExc_TypeError, "name must be a str, not %.200s",
                     value == nullptr ? "nothing" : Py_TYPE(value)->tp_name);
        return -1;
    }
    Py_XSETREF(as_task(self)->name, Py_NewRef(value));
    return 0;
}

PyObject* get_args(PyObject* self, void*) {
    const TaskObject* const task = as_task(self);
    PyObject* args = PyTuple_New(task->positional);
    // Up to CPython 3.11 making the tuple may run the collector, and with it any code: the task may
    // have ended meanwhile, and has no arguments any more.
    while (args != nullptr && PyTuple_GET_SIZE(args) != task->positional) {
        Py_DECREF(args);
        args = PyTuple_New(task->positional);
    }
    for (Py_ssize_t i = 0; args != nullptr && i < task->positional; ++i) {
        PyTuple_SET_ITEM(args, i, Py_NewRef(task->arguments[i]));
    }
    return args;
}

PyObject* get_kwargs(PyObject* self, void*) {
    const TaskObject* const task = as_task(self);
    PyObject* const kwargs = PyDict_New();
    for (Py_ssize_t i = 0; kwargs != nullptr && i < task->keywords; ++i) {
        if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(task->keyword_names, i),
                           task->arguments[task->positional + i]) != 0) {
            Py_DECREF(kwargs);
            return nullptr;
        }
    }
    return kwargs;
}

PyObject* get_stats(PyObject* self, void*) {
    const TaskTimes* const times = as_task(self)->times;
    if (times == nullptr || as_task(self)->state != TaskState::done || times->queued < 0) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("{s:d,s:d,s:d,s:d}", "queued", static_cast<double>(times->queued) * 1e-9,
                         "gil_wait", static_cast<double>(times->gil_wait) * 1e-9, "wall",
                         static_cast<double>(times->wall) * 1e-9, "cpu",
                         static_cast<double>(times->cpu) * 1e-9);
}

}  // namespace

PyGetSetDef task_getset[] = {
    {"value", get_value, nullptr, "What the call returned; None until then or if it raised.",
     nullptr},
    {"exception", get_exception, nullptr, "What the call raised, or None.", nullptr},
    {"exc_info", get_exc_info, nullptr,
     "(type, exception, traceback) of what the call raised, or an empty tuple.", nullptr},
    {"started", get_started, nullptr, "True once the task has been queued, run or killed.",
     nullptr},
    {"dead", get_dead, nullptr, "True once the task is done; the same as ready().", nullptr},
    {"name", get_name, set_name, "The name of the function, unless another one has been set.",
     nullptr},
    {"args", get_args, nullptr, "Positional arguments of the call; empty once it is done.",
     nullptr},
    {"kwargs", get_kwargs, nullptr, "Keyword arguments of the call; empty once it is done.",
     nullptr},
    {"stats", get_stats, nullptr,
     "Seconds queued, waiting for the GIL before the begin, wall and cpu, as a dict; None unless\n"
     "collect_stats() was on when the task was queued, and until it is done.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

}  // namespace gilpool::bindings
