// bindings/kernel_batches.cpp: the items of a batch, one by one.
#include "bindings/kernel_batches.hpp"

#include <cstdio>

namespace gilpool::bindings {

Items<kernels::BytesView>::~Items() {
    for (PyObject* const owner : owners) {
        Py_DECREF(owner);
    }
}

bool Items<kernels::BytesView>::add(PyObject* item, const char* name) {
    if (PyBytes_CheckExact(item)) {
        items.emplace_back(reinterpret_cast<const std::byte*>(PyBytes_AS_STRING(item)),
                           static_cast<std::size_t>(PyBytes_GET_SIZE(item)));
        owners.push_back(Py_NewRef(item));
    } else {
        HeldBuffer& held = buffers.emplace_back();
        if (!held.hold_bytes(item, name)) {
            return false;
        }
        items.emplace_back(static_cast<const std::byte*>(held.view().buf), held.bytes());
    }
    bytes += items.back().size();
    return true;
}

bool Items<kernels::Path>::add(PyObject* item, const char* name) {
    return path_argument(item, name, &items.emplace_back());
}

bool for_each_item(PyObject* iterable, const char* name,
                   bool (*add)(void* items, PyObject* item, const char* name), void* items) {
    if (PyUnicode_Check(iterable) != 0 || PyBytes_Check(iterable) != 0) {
        PyErr_Format(PyExc_TypeError, "%s must be an iterable of items, not one %.200s", name,
                     Py_TYPE(iterable)->tp_name);
        return false;
    }
    PyObject* const iterator = PyObject_GetIter(iterable);
    if (iterator == nullptr) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "%s must be iterable, not %.200s", name,
                         Py_TYPE(iterable)->tp_name);
        }
        return false;
    }
    bool ok = true;
    std::size_t index = 0;
    for (PyObject* item = nullptr; ok && (item = PyIter_Next(iterator)) != nullptr; ++index) {
        char item_name[64];
        std::snprintf(item_name, sizeof item_name, "%s[%zu]", name, index);
        try {
            ok = add(items, item, item_name);
        } catch (const std::bad_alloc&) {
            PyErr_NoMemory();
            ok = false;
        }
        Py_DECREF(item);
    }
    Py_DECREF(iterator);
    return ok && PyErr_Occurred() == nullptr;
}

}  // namespace gilpool::bindings
