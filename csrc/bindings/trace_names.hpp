// bindings/trace_names.hpp: the names of callables, each written down once per trace.
// GIL held.
#pragma once

#include <Python.h>

#include <cstdint>
#include <string>
#include <unordered_map>

namespace gilpool::bindings {

struct TaskObject;

class TraceNames {
  public:
    /// The index of the task's name: that of its user, else its callable's. Runs no Python code for
    /// functions, methods and builtins. Never fails: what cannot be named, or is one name too many,
    /// is called "?".
    std::uint32_t of(const TaskObject* task);

    /// The names by their index, as a new list; null with an exception set. Forgets them.
    PyObject* take();

  private:
    /// Programs that give every task a name of its own shall not fill the memory with them.
    static constexpr Py_ssize_t kMost = 20'000;

    std::uint32_t index_of(PyObject* name);
    std::uint32_t of_callable(PyObject* function);
    std::uint32_t of_builtin(PyObject* function);
    std::uint32_t of_object(PyObject* function);

    /// Objects that have been seen, kept so that their addresses stay theirs, and their names.
    struct Known {
        PyObject* kept;
        std::uint32_t index;
    };
    std::unordered_map<PyObject*, Known> known_;
    PyObject* names_ = nullptr;    ///< list of str, "?" first
    PyObject* indices_ = nullptr;  ///< dict from str to int
    PyObject* last_ = nullptr;
    std::uint32_t last_index_ = 0;
    const PyMethodDef* last_builtin_ = nullptr;
    std::string last_builtin_name_;
    std::uint32_t last_builtin_index_ = 0;
};

/// The names of the present trace.
TraceNames& trace_names();

}  // namespace gilpool::bindings
