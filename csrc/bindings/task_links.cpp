// bindings/task_links.cpp: the list of links and who calls them.
#include "bindings/task_links.hpp"

#include "bindings/mailbox.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

PyObject* g_run_links_function = nullptr;

/// Whether a link of this kind is called for a task that ended like `task`.
bool applies(LinkKind kind, const TaskObject* task) {
    switch (kind) {
        case LinkKind::always:
        case LinkKind::raw:
            return true;
        case LinkKind::on_value:
            return task->exception == nullptr;
        case LinkKind::on_exception:
            return task->exception != nullptr;
    }
    Py_UNREACHABLE();
}

LinkKind kind_of(PyObject* link) {
    return static_cast<LinkKind>(PyLong_AsLong(PyTuple_GET_ITEM(link, 0)));
}

/// Where a new link of this kind belongs.
Py_ssize_t place_of(LinkKind kind, PyObject* links) {
    Py_ssize_t place = PyList_GET_SIZE(links);
    while (kind == LinkKind::raw && place > 0 &&
           kind_of(PyList_GET_ITEM(links, place - 1)) != LinkKind::raw) {
        --place;
    }
    return place;
}

/// Links may add and remove links, so each round takes the first one that is there.
void call_links(TaskObject* task) {
    while (task->links != nullptr && PyList_GET_SIZE(task->links) > 0) {
        PyObject* const link = Py_NewRef(PyList_GET_ITEM(task->links, 0));
        if (PyList_SetSlice(task->links, 0, 1, nullptr) != 0) {
            PyErr_WriteUnraisable(as_object(task));
            Py_DECREF(link);
            return;
        }
        if (applies(kind_of(link), task)) {
            PyObject* const callback = PyTuple_GET_ITEM(link, 1);
            PyObject* const result = PyObject_CallOneArg(callback, as_object(task));
            if (result == nullptr) {
                PyErr_WriteUnraisable(callback);
            }
            Py_XDECREF(result);
        }
        Py_DECREF(link);
    }
    Py_CLEAR(task->links);
}

/// Has the links called by a worker. When none can be had the caller does it: better here than
/// never.
void call_links_on_a_worker(TaskObject* task) {
    PyObject* const argument = as_object(task);
    TaskObject* const caller = new_task(task_type, g_run_links_function, &argument, 1, nullptr);
    if (caller == nullptr || !start_task(internal_pool(), caller)) {
        PyErr_Clear();
        call_links(task);
    }
    Py_XDECREF(as_object(caller));
}

PyObject* run_links_function(PyObject*, PyObject* task) {
    call_links(as_task(task));
    Py_RETURN_NONE;
}

PyMethodDef link_functions[] = {{"_run_links", run_links_function, METH_O,
                                 "_run_links(task, /)\n--\n\nCall a done task's links."},
                                {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool add_link(TaskObject* task, PyObject* callback, LinkKind kind) {
    if (PyCallable_Check(callback) == 0) {
        PyErr_Format(PyExc_TypeError, "callback must be callable, not %.200s",
                     Py_TYPE(callback)->tp_name);
        return false;
    }
    // Both before a look at the task: up to CPython 3.11 making them may run the collector, and
    // with it any code, which links, or ends the task.
    PyObject* const link = Py_BuildValue("(iO)", static_cast<int>(kind), callback);
    PyObject* const list = link != nullptr ? PyList_New(0) : nullptr;
    bool added = list != nullptr;
    if (added && task->links == nullptr) {
        task->links = Py_NewRef(list);
    }
    added = added && PyList_Insert(task->links, place_of(kind, task->links), link) == 0;
    Py_XDECREF(list);
    Py_XDECREF(link);
    if (added && task->state == TaskState::done && task->links != nullptr &&
        PyList_GET_SIZE(task->links) == 1) {
        call_links_on_a_worker(task);
    }
    return added;
}

bool remove_link(TaskObject* task, PyObject* callback) {
    for (Py_ssize_t i = 0; task->links != nullptr && i < PyList_GET_SIZE(task->links); ++i) {
        PyObject* const link = Py_NewRef(PyList_GET_ITEM(task->links, i));
        const int equal = PyObject_RichCompareBool(PyTuple_GET_ITEM(link, 1), callback, Py_EQ);
        // Comparing may run Python code that changes the list: only what is still there is removed.
        const bool still_there = task->links != nullptr && i < PyList_GET_SIZE(task->links) &&
                                 PyList_GET_ITEM(task->links, i) == link;
        Py_DECREF(link);
        if (equal < 0) {
            return false;
        }
        if (equal == 1 && still_there) {
            return PyList_SetSlice(task->links, i, i + 1, nullptr) == 0;
        }
    }
    return true;
}

bool has_mailbox_link(const TaskObject* task) {
    const Py_ssize_t count = task->links != nullptr ? PyList_GET_SIZE(task->links) : 0;
    for (Py_ssize_t i = 0; i < count; ++i) {
        PyObject* const link = PyList_GET_ITEM(task->links, i);
        if (kind_of(link) == LinkKind::raw && is_mailbox_put(PyTuple_GET_ITEM(link, 1))) {
            return true;
        }
    }
    return false;
}

void run_links(TaskObject* task, bool of_daemon) {
    if (is_serving_thread() && current_task() == nullptr) {
        // The task has left its pool, but exit must wait for its links, too. A daemon's may be cut
        // short.
        PoolObject* const keeper = of_daemon ? nullptr : internal_pool();
        if (keeper != nullptr) {
            take_guest_slot(keeper);
        }
        call_links(task);
        if (keeper != nullptr) {
            return_guest_slot(keeper);
        }
    } else {
        call_links_on_a_worker(task);
    }
}

int add_link_functions(PyObject* module) {
    if (PyModule_AddFunctions(module, link_functions) != 0) {
        return -1;
    }
    g_run_links_function = PyObject_GetAttrString(module, "_run_links");
    return g_run_links_function != nullptr ? 0 : -1;
}

}  // namespace gilpool::bindings
