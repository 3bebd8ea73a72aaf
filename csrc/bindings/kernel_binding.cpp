// bindings/kernel_binding.cpp: memory for outputs that the caller did not bring.
#include "bindings/kernel_binding.hpp"

#include "kernels/huge_pages.hpp"

namespace gilpool::bindings::detail {

PyObject* new_output(const kernels::Shape& shape, int dimensions, char format,
                     std::size_t item_bytes) {
    constexpr auto kMost = static_cast<std::size_t>(PY_SSIZE_T_MAX);
    if (shape.columns != 0 && shape.rows > kMost / item_bytes / shape.columns) {
        return PyErr_NoMemory();
    }
    const auto rows = static_cast<Py_ssize_t>(shape.rows);
    const auto columns = static_cast<Py_ssize_t>(shape.columns);
    const Py_ssize_t size = rows * columns * static_cast<Py_ssize_t>(item_bytes);
    PyObject* const memory = PyByteArray_FromStringAndSize(nullptr, size);
    if (memory != nullptr) {
        kernels::ask_for_huge_pages(PyByteArray_AS_STRING(memory), static_cast<std::size_t>(size));
    }
    PyObject* const plain = memory != nullptr ? PyMemoryView_FromObject(memory) : nullptr;
    PyObject* view = nullptr;
    if (plain != nullptr) {
        view = dimensions == 1 ? PyObject_CallMethod(plain, "cast", "C", format)
                               : PyObject_CallMethod(plain, "cast", "C(nn)", format, rows, columns);
    }
    Py_XDECREF(plain);
    Py_XDECREF(memory);
    return view;
}

}  // namespace gilpool::bindings::detail
