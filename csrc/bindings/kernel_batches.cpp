// bindings/kernel_batches.cpp: the items of a batch, one by one.
#include "bindings/kernel_batches.hpp"

#include <cstdio>

namespace gilpool::bindings {

std::array<char, 64> ItemName::text() const {
    std::array<char, 64> text;
    std::snprintf(text.data(), text.size(), "%s[%zu]", list, index);
    return text;
}

bool Items<kernels::BytesView>::add(PyObject* item, ItemName name) {
    if (PyBytes_CheckExact(item)) {
        items.emplace_back(reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(item)),
                           static_cast<std::size_t>(PyBytes_GET_SIZE(item)));
    } else {
        HeldBuffer& held = buffers.emplace_back();
        if (!held.hold_bytes(item, name.text().data())) {
            return false;
        }
        items.emplace_back(static_cast<const std::byte*>(held.view().buf), held.bytes());
    }
    bytes += items.back().size();
    return true;
}

bool Items<kernels::Path>::add(PyObject* item, ItemName name) {
    kernels::Path& path = items.emplace_back();
    if (PyUnicode_CheckExact(item) && PyUnicode_IS_COMPACT_ASCII(item)) {
        // The same bytes in every file system's encoding.
        path.native.assign(reinterpret_cast<const char*>(PyUnicode_1BYTE_DATA(item)),
                           static_cast<std::size_t>(PyUnicode_GET_LENGTH(item)));
        if (path.native.find('\0') == std::string::npos) {
            return true;
        }
    }
    return path_argument(item, name.text().data(), &path);
}

PyObject* tuple_of_items(PyObject* iterable, const char* name) {
    if (PyUnicode_Check(iterable) != 0 || PyBytes_Check(iterable) != 0) {
        PyErr_Format(PyExc_TypeError, "%s must be an iterable of items, not one %.200s", name,
                     Py_TYPE(iterable)->tp_name);
        return nullptr;
    }
    if (Py_TYPE(iterable)->tp_iter == nullptr && PySequence_Check(iterable) == 0) {
        PyErr_Format(PyExc_TypeError, "%s must be iterable, not %.200s", name,
                     Py_TYPE(iterable)->tp_name);
        return nullptr;
    }
    return PySequence_Tuple(iterable);
}

}  // namespace gilpool::bindings
