// bindings/mailbox.cpp: life, methods and tables of Mailbox.
#include "bindings/mailbox.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <new>
#include <utility>

#include "bindings/arguments.hpp"
#include "bindings/compat.hpp"
#include "bindings/errors.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/waiting.hpp"
#include "core/waiters.hpp"

namespace gilpool::bindings {

namespace {

constexpr Py_ssize_t kNobodyWaits = std::numeric_limits<Py_ssize_t>::max();

struct MailboxObject {
    PyObject_HEAD
    std::deque<PyObject*> items;  ///< strong
    /// The fewest items that any receiver waits for; all are told when there are as many, look, and
    /// say again what they wait for.
    Py_ssize_t wanted;
    core::WaitList receivers;
};

MailboxObject* as_mailbox(PyObject* object) {
    return reinterpret_cast<MailboxObject*>(object);
}

Py_ssize_t item_count(const MailboxObject* mailbox) {
    return static_cast<Py_ssize_t>(mailbox->items.size());
}

void tell_receivers(MailboxObject* mailbox) {
    if (item_count(mailbox) >= mailbox->wanted) {
        mailbox->wanted = kNobodyWaits;
        mailbox->receivers.notify_all();
    }
}

/// Waits, GIL released, until there are `count` items.
WaitOutcome wait_for_items(MailboxObject* mailbox, Py_ssize_t count, core::TimePoint deadline) {
    while (item_count(mailbox) < count) {
        if (workers_are_gone()) {
            PyErr_SetString(PyExc_RuntimeError,
                            "cannot wait: the interpreter shut down and abandoned what runs");
            return WaitOutcome::raised;
        }
        mailbox->wanted = std::min(mailbox->wanted, count);
        ListedWaiter waiter(mailbox->receivers);
        const WaitOutcome outcome = waiter.wait_until(deadline);
        if (outcome == WaitOutcome::raised) {
            return outcome;
        }
        if (outcome == WaitOutcome::timed_out && item_count(mailbox) < count) {
            return outcome;
        }
    }
    return WaitOutcome::notified;
}

// --- methods ---

PyObject* put(PyObject* self, PyObject* item) {
    try {
        as_mailbox(self)->items.push_back(item);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
    Py_INCREF(item);
    tell_receivers(as_mailbox(self));
    Py_RETURN_NONE;
}

PyObject* put_back(PyObject* self, PyObject* item) {
    try {
        as_mailbox(self)->items.push_front(item);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
    Py_INCREF(item);
    tell_receivers(as_mailbox(self));
    Py_RETURN_NONE;
}

PyObject* get(PyObject* self, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {"timeout", nullptr};
    PyObject* timeout = nullptr;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "|O:get", const_cast<char**>(names), &timeout) ==
        0) {
        return nullptr;
    }
    const std::optional<core::TimePoint> deadline = timeout_argument(timeout, "timeout");
    if (!deadline) {
        return nullptr;
    }
    switch (wait_for_items(as_mailbox(self), 1, *deadline)) {
        case WaitOutcome::raised:
            return nullptr;
        case WaitOutcome::timed_out:
            PyErr_SetString(error_types.wait_timeout, "nothing came in time");
            return nullptr;
        case WaitOutcome::notified:
            break;
    }
    PyObject* const item = as_mailbox(self)->items.front();
    as_mailbox(self)->items.pop_front();
    return item;
}

PyObject* wait(PyObject* self, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {"count", "timeout", nullptr};
    PyObject* timeout = nullptr;
    Py_ssize_t count = 0;
    if (PyArg_ParseTupleAndKeywords(args, kwargs, "n|O:wait", const_cast<char**>(names), &count,
                                    &timeout) == 0) {
        return nullptr;
    }
    const std::optional<core::TimePoint> deadline = timeout_argument(timeout, "timeout");
    if (!deadline) {
        return nullptr;
    }
    const WaitOutcome outcome = wait_for_items(as_mailbox(self), count, *deadline);
    if (outcome == WaitOutcome::raised) {
        return nullptr;
    }
    return PyBool_FromLong(outcome == WaitOutcome::notified);
}

Py_ssize_t length(PyObject* self) {
    return item_count(as_mailbox(self));
}

// --- life ---

PyObject* mailbox_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
    static const char* names[] = {nullptr};
    if (PyArg_ParseTupleAndKeywords(args, kwargs, ":Mailbox", const_cast<char**>(names)) == 0) {
        return nullptr;
    }
    PyObject* const self = type->tp_alloc(type, 0);
    if (self == nullptr) {
        return nullptr;
    }
    new (&as_mailbox(self)->items) std::deque<PyObject*>;
    new (&as_mailbox(self)->receivers) core::WaitList;
    as_mailbox(self)->wanted = kNobodyWaits;
    return self;
}

int mailbox_traverse(PyObject* self, visitproc visit, void* arg) {
    Py_VISIT(Py_TYPE(self));
    for (PyObject* const item : as_mailbox(self)->items) {
        Py_VISIT(item);
    }
    return 0;
}

int mailbox_clear(PyObject* self) {
    // Emptied before any destructor runs, which may look at the mailbox.
    const std::deque<PyObject*> items = std::exchange(as_mailbox(self)->items, {});
    for (PyObject* const item : items) {
        Py_DECREF(item);
    }
    return 0;
}

void mailbox_dealloc(PyObject* self) {
    PyObject_GC_UnTrack(self);
    mailbox_clear(self);
    as_mailbox(self)->items.~deque();
    as_mailbox(self)->receivers.~WaitList();
    PyTypeObject* const type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

// --- tables ---

PyDoc_STRVAR(
    mailbox_doc,
    "Mailbox()\n--\n\n"
    "A queue between threads whose waits end on Ctrl-C and kill and lend the task's slot.\n\n"
    "Thread safety: every method may be called from any thread.\n"
    "GIL: held, except in get and wait while they wait.");
PyDoc_STRVAR(put_doc,
             "put($self, item, /)\n--\n\nAppend an item. Never blocks; fit to be a task's link.");
PyDoc_STRVAR(put_back_doc, "put_back($self, item, /)\n--\n\nMake an item the next one again.");
PyDoc_STRVAR(
    get_doc,
    "get($self, /, timeout=None)\n--\n\n"
    "Remove and return the oldest item; WaitTimeout if there is none in `timeout` seconds.\n\n"
    "RuntimeError for a wait that cannot end, because the interpreter has shut down.");
PyDoc_STRVAR(
    wait_doc,
    "wait($self, /, count, timeout=None)\n--\n\n"
    "Wait until there are `count` items or more; False if there were not in `timeout` seconds.\n\n"
    "RuntimeError for a wait that cannot end, because the interpreter has shut down.");

PyMethodDef mailbox_methods[] = {
    {"put", put, METH_O, put_doc},
    {"put_back", put_back, METH_O, put_back_doc},
    {"get", keyword_method(get), METH_VARARGS | METH_KEYWORDS, get_doc},
    {"wait", keyword_method(wait), METH_VARARGS | METH_KEYWORDS, wait_doc},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot mailbox_slots[] = {{Py_tp_doc, const_cast<char*>(mailbox_doc)},
                               {Py_tp_new, reinterpret_cast<void*>(mailbox_new)},
                               {Py_tp_traverse, reinterpret_cast<void*>(mailbox_traverse)},
                               {Py_tp_clear, reinterpret_cast<void*>(mailbox_clear)},
                               {Py_tp_dealloc, reinterpret_cast<void*>(mailbox_dealloc)},
                               {Py_sq_length, reinterpret_cast<void*>(length)},
                               {Py_tp_methods, mailbox_methods},
                               {0, nullptr}};

PyType_Spec mailbox_spec = {"gilpool._core.Mailbox", sizeof(MailboxObject), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, mailbox_slots};

}  // namespace

bool is_mailbox_put(PyObject* callback) {
    return PyCFunction_Check(callback) != 0 && PyCFunction_GET_FUNCTION(callback) == &put;
}

int add_mailbox_type(PyObject* module) {
    PyObject* const type = PyType_FromModuleAndSpec(module, &mailbox_spec, nullptr);
    if (type == nullptr) {
        return -1;
    }
    const int added = PyModule_AddObjectRef(module, "Mailbox", type);
    Py_DECREF(type);
    return added;
}

}  // namespace gilpool::bindings
