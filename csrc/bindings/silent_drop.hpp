// bindings/silent_drop.hpp: which references can be dropped without running anybody's code. GIL
// held.
#pragma once

#include <Python.h>

namespace gilpool::bindings {

/// True if dropping a reference to `object` (null: nothing to drop) runs no code of anybody's.
inline bool goes_silently(PyObject* object) {
    return object == nullptr || Py_REFCNT(object) > 1 || PyLong_CheckExact(object) ||
           PyFloat_CheckExact(object) || PyUnicode_CheckExact(object) || PyBytes_CheckExact(object);
}

}  // namespace gilpool::bindings
