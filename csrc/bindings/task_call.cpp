// bindings/task_call.cpp: what a task calls: function, arguments, and the name that is left. GIL
// held.
#include <algorithm>
#include <limits>

#include "bindings/kernel_type.hpp"
#include "bindings/native_work.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

/// What a call is named after: the function's qualified name, else that of its type. Never a repr:
/// that may be as long as its arguments are, and raise. New reference or null.
PyObject* name_of(PyObject* function) {
    if (PyMethod_Check(function)) {
        function = PyMethod_GET_FUNCTION(function);
    }
    if (PyFunction_Check(function)) {  // without the price of an attribute look-up
        return Py_NewRef(reinterpret_cast<PyFunctionObject*>(function)->func_qualname);
    }
    PyObject* const name = PyObject_GetAttrString(function, "__qualname__");
    if (name != nullptr && PyUnicode_Check(name)) {
        return name;
    }
    Py_XDECREF(name);
    PyErr_Clear();
    return PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(function)), "__qualname__");
}

/// False if nobody but the caller has the task, or will be shown it.
bool may_be_asked_its_name(const TaskObject* task) {
    return Py_REFCNT(task) > 1 || task->weakrefs != nullptr || task->exception != nullptr ||
           task->links != nullptr || Py_TYPE(task) != task_type;
}

/// Keeps, for the time after the call is dropped, what the task is named after.
void keep_name(TaskObject* task) {
    if (task->name != nullptr || !may_be_asked_its_name(task)) {
        return;
    }
    if (PyCFunction_Check(task->function)) {  // its name outlives it, and costs nothing to remember
        task->static_name = reinterpret_cast<PyCFunctionObject*>(task->function)->m_ml->ml_name;
        return;
    }
    if (Py_TYPE(task->function) == kernel_type) {
        task->static_name = kernel_name(task->function);
        return;
    }
    task->name = name_of(task->function);
    if (task->name == nullptr) {
        PyErr_Clear();
    }
}

/// Room for `count` arguments behind the callee's slot: in the task, or in a block when it is too
/// small.
PyObject** room_for(TaskObject* task, Py_ssize_t count) {
    if (count <= kInlineArguments) {
        return task->inline_arguments;
    }
    if (count > std::numeric_limits<std::int32_t>::max()) {
        return nullptr;
    }
    auto* const block = static_cast<PyObject**>(
        PyMem_Malloc(sizeof(PyObject*) * (static_cast<std::size_t>(count) + 1)));
    return block != nullptr ? block + 1 : nullptr;
}

}  // namespace

bool store_call(TaskObject* task, PyObject* function, PyObject* const* arguments,
                Py_ssize_t positional, PyObject* keyword_names) {
    const Py_ssize_t keywords = keyword_names != nullptr ? PyTuple_GET_SIZE(keyword_names) : 0;
    task->arguments = room_for(task, positional + keywords);
    const bool has_room = task->arguments != nullptr;
    task->positional = has_room ? static_cast<std::int32_t>(positional) : 0;
    task->keywords = has_room ? static_cast<std::int32_t>(keywords) : 0;
    for (Py_ssize_t i = 0; i < task->positional + task->keywords; ++i) {
        task->arguments[i] = Py_NewRef(arguments[i]);
    }
    task->function = Py_NewRef(function);
    task->keyword_names = Py_XNewRef(keyword_names);
    return has_room;
}

void drop_call(TaskObject* task) {
    if (task->function == nullptr) {
        return;
    }
    keep_name(task);
    drop_prepared_work(task);
    // Emptied before any destructor runs, which may look at the task.
    PyObject* const function = task->function;
    PyObject** const arguments = task->arguments;
    PyObject* const names = task->keyword_names;
    PyObject* const context = task->context;
    const Py_ssize_t count = task->positional + task->keywords;
    PyObject* inline_copy[kInlineArguments];
    const bool is_inline = arguments == task->inline_arguments;
    if (is_inline) {
        std::copy_n(arguments, count, inline_copy);
    }
    task->function = nullptr;
    task->arguments = task->inline_arguments;
    task->keyword_names = nullptr;
    task->context = nullptr;
    task->positional = 0;
    task->keywords = 0;
    for (Py_ssize_t i = 0; i < count; ++i) {
        Py_DECREF(is_inline ? inline_copy[i] : arguments[i]);
    }
    if (!is_inline && arguments != nullptr) {
        PyMem_Free(arguments - 1);
    }
    Py_DECREF(function);
    Py_XDECREF(names);
    Py_XDECREF(context);
}

PyObject* task_name(TaskObject* task) {
    if (task->name != nullptr) {
        return Py_NewRef(task->name);
    }
    if (task->function != nullptr) {
        return name_of(task->function);
    }
    return PyUnicode_FromString(task->static_name != nullptr ? task->static_name : "?");
}

}  // namespace gilpool::bindings
