// bindings/trace_names.cpp: from a callable to an index, most often by one comparison.
#include "bindings/trace_names.hpp"

#include <cstring>
#include <utility>

#include "bindings/compat.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

/// What a functools.partial will call, or null. New reference.
PyObject* wrapped_by(PyObject* function) {
    if (std::strcmp(Py_TYPE(function)->tp_name, "functools.partial") != 0) {
        return nullptr;
    }
    PyObject* const inner = PyObject_GetAttrString(function, "func");
    if (inner == nullptr) {
        PyErr_Clear();
    }
    return inner;
}

/// The attribute, if it is a str; new reference or null.
PyObject* text_attribute(PyObject* object, const char* name) {
    PyObject* const text = PyObject_GetAttrString(object, name);
    if (text != nullptr && PyUnicode_Check(text)) {
        return text;
    }
    Py_XDECREF(text);
    PyErr_Clear();
    return nullptr;
}

/// What a callable that is no function of Python's is called. New reference or null.
PyObject* name_of_object(PyObject* function) {
    PyObject* name = text_attribute(function, "__qualname__");
    if (name == nullptr) {
        name = text_attribute(function, "__name__");
    }
    if (name == nullptr) {
        name = text_attribute(reinterpret_cast<PyObject*>(Py_TYPE(function)), "__qualname__");
    }
    return name;
}

}  // namespace

std::uint32_t TraceNames::of(const TaskObject* task) {
    if (task->name != nullptr) {
        return index_of(task->name);
    }
    return task->function != nullptr ? of_callable(task->function) : 0;
}

std::uint32_t TraceNames::of_callable(PyObject* function) {
    if (PyMethod_Check(function)) {
        function = PyMethod_GET_FUNCTION(function);
    }
    if (PyCFunction_Check(function)) {
        return of_builtin(function);
    }
    if (!PyFunction_Check(function)) {
        PyObject* const inner = wrapped_by(function);
        const std::uint32_t index = of_object(inner != nullptr ? inner : function);
        Py_XDECREF(inner);
        return index;
    }
    // Closures are made anew for each call; what they are called belongs to their code.
    PyObject* const name = reinterpret_cast<PyFunctionObject*>(function)->func_qualname;
    if (name == last_) {
        return last_index_;
    }
    auto found = known_.find(name);
    if (found == known_.end()) {
        const std::uint32_t index = index_of(name);
        if (index == 0 || static_cast<Py_ssize_t>(known_.size()) >= kMost) {
            return index;
        }
        found = known_.emplace(name, Known{Py_NewRef(name), index}).first;
    }
    last_ = name;
    last_index_ = found->second.index;
    return last_index_;
}

std::uint32_t TraceNames::of_builtin(PyObject* function) {
    // A method of an object is bound anew for each call, so it is known by its definition. That is
    // not kept, hence the look at the text.
    const PyMethodDef* const definition = reinterpret_cast<PyCFunctionObject*>(function)->m_ml;
    if (definition == last_builtin_ && last_builtin_name_ == definition->ml_name) {
        return last_builtin_index_;
    }
    last_builtin_index_ = of_object(function);
    last_builtin_ = definition;
    last_builtin_name_ = definition->ml_name;
    return last_builtin_index_;
}

std::uint32_t TraceNames::of_object(PyObject* function) {
    PyObject* const name = name_of_object(function);
    const std::uint32_t index = name != nullptr ? index_of(name) : 0;
    Py_XDECREF(name);
    return index;
}

std::uint32_t TraceNames::index_of(PyObject* name) {
    if (names_ == nullptr) {
        names_ = Py_BuildValue("[s]", "?");
        indices_ = PyDict_New();
    }
    std::uint32_t index = 0;
    PyObject* const text = PyUnicode_FromObject(name);  // not a subclass with a __hash__ of its own
    if (names_ != nullptr && indices_ != nullptr && text != nullptr) {
        PyObject* const known = PyDict_GetItemWithError(indices_, text);
        if (known != nullptr) {
            index = static_cast<std::uint32_t>(PyLong_AsUnsignedLong(known));
        } else if (PyErr_Occurred() == nullptr && PyList_GET_SIZE(names_) < kMost) {
            PyObject* const next = PyLong_FromSsize_t(PyList_GET_SIZE(names_));
            if (next != nullptr && PyDict_SetItem(indices_, text, next) == 0 &&
                PyList_Append(names_, text) == 0) {
                index = static_cast<std::uint32_t>(PyList_GET_SIZE(names_) - 1);
            }
            Py_XDECREF(next);
        }
    }
    Py_XDECREF(text);
    PyErr_Clear();
    return index;
}

PyObject* TraceNames::take() {
    PyObject* const names = names_ != nullptr ? names_ : Py_BuildValue("[s]", "?");
    const std::unordered_map<PyObject*, Known> known = std::move(known_);
    known_.clear();
    names_ = nullptr;
    last_ = nullptr;
    last_builtin_ = nullptr;
    Py_CLEAR(indices_);
    for (const auto& [name, entry] : known) {
        Py_DECREF(entry.kept);
    }
    return names;
}

TraceNames& trace_names() {
    static TraceNames names;
    return names;
}

}  // namespace gilpool::bindings
