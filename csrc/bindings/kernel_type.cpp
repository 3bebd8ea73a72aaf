// bindings/kernel_type.cpp: arguments, attributes and the table's objects of kernels.
#include "bindings/kernel_type.hpp"

#include <structmember.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "bindings/arguments.hpp"
#include "bindings/direct_call.hpp"
#include "bindings/kernel_row.hpp"
#include "bindings/kernel_work.hpp"
#include "bindings/task_type.hpp"
#include "kernels/features.hpp"

namespace gilpool::bindings {

PyTypeObject* kernel_type = nullptr;

namespace {

constexpr const char* kReleaseName = "release_gil";

struct KernelObject {
    PyObject_HEAD
    vectorcallfunc call;
    const KernelRow* row;
    std::vector<const char*>* names;    ///< of the parameters, then release_gil
    std::vector<PyObject*>* fallbacks;  ///< strong, in the order of the parameters; or null
    PyObject* signature;                ///< str
};

KernelObject* as_kernel(PyObject* object) {
    return reinterpret_cast<KernelObject*>(object);
}

/// The arguments of one call, in the order of the parameters.
struct BoundCall {
    std::vector<PyObject*> values;  ///< borrowed
    bool release_gil;
};

bool bind_call(const KernelObject* kernel, PyObject* const* args, Py_ssize_t positional,
               PyObject* keyword_names, BoundCall* call) {
    const std::size_t count = kernel->row->parameters.size();
    call->values = *kernel->fallbacks;
    call->values.push_back(Py_True);
    const auto given = std::find_if(kernel->fallbacks->begin(), kernel->fallbacks->end(),
                                    [](PyObject* fallback) { return fallback != nullptr; });
    const auto required = static_cast<std::size_t>(given - kernel->fallbacks->begin());
    if (!bind_arguments({kernel->row->name, *kernel->names, count, required}, args, positional,
                        keyword_names, call->values.data())) {
        return false;
    }
    const int truth = PyObject_IsTrue(call->values.back());
    call->release_gil = truth == 1;
    return truth >= 0;
}

PyObject* kernel_call(PyObject* self, PyObject* const* args, std::size_t flagged_count,
                      PyObject* keyword_names) {
    const KernelObject* const kernel = as_kernel(self);
    BoundCall call;
    if (!bind_call(kernel, args, PyVectorcall_NARGS(flagged_count), keyword_names, &call)) {
        return nullptr;
    }
    KernelWork* const work = kernel->row->make_work(*kernel->row, call.values.data());
    if (work == nullptr) {
        return nullptr;
    }
    if (!call.release_gil || work->bytes() < kernel->row->keeps_gil_below) {
        return call_holding(work);
    }
    return call_releasing(work);
}

// --- attributes ---

PyObject* get_name(PyObject* self, void*) {
    return PyUnicode_FromString(as_kernel(self)->row->name);
}

PyObject* get_module(PyObject*, void*) {
    return PyUnicode_FromString("gilpool.kernels");
}

/// What the row says, then what is true of every kernel.
PyObject* get_doc(PyObject* self, void*) {
    const KernelRow& row = *as_kernel(self)->row;
    std::string text = row.doc;
    for (const Parameter& parameter : row.parameters) {
        if (std::strcmp(parameter.name, "progress") == 0) {
            text +=
                "\n\nThe first item that fails raises, unless `return_errors` asks for exceptions "
                "in "
                "their\nplaces. `progress(done, total)` is called, at most ten times a second, on "
                "the "
                "thread\nthat waits.";
        }
    }
    text += "\n\nGIL: released, unless `release_gil` is false";
    if (row.keeps_gil_below > 0) {
        text += " or a direct call is about fewer than\n" + std::to_string(row.keeps_gil_below) +
                " bytes";
    }
    text += std::string(". Spawned, it runs on the ") +
            (row.lane == core::Lane::cpu ? "cpu" : "blocking") +
            " lane and needs no GIL.\nThread safety: any thread; buffers stay exported until the "
            "call is over.";
    return PyUnicode_FromString(text.c_str());
}

PyObject* get_text_signature(PyObject* self, void*) {
    return Py_NewRef(as_kernel(self)->signature);
}

/// The signature of a Python function with the same parameters.
PyObject* get_signature(PyObject* self, void*) {
    PyObject* const inspect = PyImport_ImportModule("inspect");
    PyObject* const parameters = PyUnicode_Substring(
        as_kernel(self)->signature, 1, PyUnicode_GET_LENGTH(as_kernel(self)->signature) - 1);
    PyObject* const source =
        parameters != nullptr ? PyUnicode_FromFormat("lambda %U: None", parameters) : nullptr;
    PyObject* const globals = PyDict_New();
    PyObject* function = nullptr;
    if (source != nullptr && globals != nullptr) {
        function = PyRun_String(PyUnicode_AsUTF8(source), Py_eval_input, globals, globals);
    }
    PyObject* const signature = inspect != nullptr && function != nullptr
                                    ? PyObject_CallMethod(inspect, "signature", "O", function)
                                    : nullptr;
    Py_XDECREF(function);
    Py_XDECREF(globals);
    Py_XDECREF(source);
    Py_XDECREF(parameters);
    Py_XDECREF(inspect);
    return signature;
}

PyObject* get_lane(PyObject* self, void*) {
    return PyUnicode_FromString(as_kernel(self)->row->lane == core::Lane::cpu ? "cpu" : "blocking");
}

PyObject* get_keeps_gil_below(PyObject* self, void*) {
    return PyLong_FromSize_t(as_kernel(self)->row->keeps_gil_below);
}

PyObject* get_example(PyObject* self, void*) {
    return PyUnicode_FromString(as_kernel(self)->row->example);
}

PyObject* kernel_repr(PyObject* self) {
    return PyUnicode_FromFormat("<kernel %s%U>", as_kernel(self)->row->name,
                                as_kernel(self)->signature);
}

/// A name, by which pickle finds the kernel in gilpool.kernels.
PyObject* reduce(PyObject* self, PyObject*) {
    return get_name(self, nullptr);
}

void kernel_dealloc(PyObject* self) {
    KernelObject* const kernel = as_kernel(self);
    for (PyObject* const fallback : *kernel->fallbacks) {
        Py_XDECREF(fallback);
    }
    delete kernel->fallbacks;
    delete kernel->names;
    Py_XDECREF(kernel->signature);
    PyTypeObject* const type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyMethodDef kernel_methods[] = {
    {"__reduce__", reduce, METH_NOARGS, "The kernel's name: kernels are pickled by it."},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef kernel_getset[] = {
    {"__name__", get_name, nullptr, nullptr, nullptr},
    {"__qualname__", get_name, nullptr, nullptr, nullptr},
    {"__module__", get_module, nullptr, nullptr, nullptr},
    {"__doc__", get_doc, nullptr, nullptr, nullptr},
    {"__text_signature__", get_text_signature, nullptr, nullptr, nullptr},
    {"__signature__", get_signature, nullptr, nullptr, nullptr},
    {"lane", get_lane, nullptr,
     "Where it runs when spawned: 'cpu' (as many at once as there are cores) or 'blocking'.",
     nullptr},
    {"keeps_gil_below", get_keeps_gil_below, nullptr,
     "A direct call about fewer bytes than this keeps the GIL, whatever release_gil says.",
     nullptr},
    {"_example", get_example, nullptr, "Source of a tuple of arguments; see gilpool._kernel_calls.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMemberDef kernel_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(KernelObject, call), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

PyType_Slot kernel_slots[] = {{Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                              {Py_tp_dealloc, reinterpret_cast<void*>(kernel_dealloc)},
                              {Py_tp_repr, reinterpret_cast<void*>(kernel_repr)},
                              {Py_tp_methods, kernel_methods},
                              {Py_tp_getset, kernel_getset},
                              {Py_tp_members, kernel_members},
                              {0, nullptr}};

PyType_Spec kernel_spec = {
    "gilpool.Kernel", sizeof(KernelObject), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    kernel_slots};

// --- the table's objects ---

/// "(data, pattern, *, release_gil=True)"
std::string text_signature(const KernelRow& row) {
    std::string text = "(";
    for (const Parameter& parameter : row.parameters) {
        text += parameter.name;
        if (parameter.fallback != nullptr) {
            text += std::string("=") + parameter.fallback;
        }
        text += ", ";
    }
    return text + "*, " + kReleaseName + "=True)";
}

PyObject* evaluate(const char* literal) {
    PyObject* const globals = PyDict_New();
    PyObject* const value =
        globals != nullptr ? PyRun_String(literal, Py_eval_input, globals, globals) : nullptr;
    Py_XDECREF(globals);
    return value;
}

PyObject* make_kernel(const KernelRow& row) {
    KernelObject* const kernel = PyObject_New(KernelObject, kernel_type);
    if (kernel == nullptr) {
        return nullptr;
    }
    kernel->call = &kernel_call;
    kernel->row = &row;
    kernel->names = new std::vector<const char*>;
    kernel->fallbacks = new std::vector<PyObject*>;
    kernel->signature = PyUnicode_FromString(text_signature(row).c_str());
    bool ok = kernel->signature != nullptr;
    for (const Parameter& parameter : row.parameters) {
        kernel->names->push_back(parameter.name);
        PyObject* const fallback =
            parameter.fallback != nullptr ? evaluate(parameter.fallback) : nullptr;
        ok = ok && (parameter.fallback == nullptr || fallback != nullptr);
        kernel->fallbacks->push_back(fallback);
    }
    kernel->names->push_back(kReleaseName);
    if (!ok) {
        Py_DECREF(reinterpret_cast<PyObject*>(kernel));
        return nullptr;
    }
    return reinterpret_cast<PyObject*>(kernel);
}

/// Takes the reference to `value`, which may be null with an exception set; false then.
bool add_item(PyObject* dict, const char* name, PyObject* value) {
    const bool added =
        dict != nullptr && value != nullptr && PyDict_SetItemString(dict, name, value) == 0;
    Py_XDECREF(value);
    return added;
}

}  // namespace

const char* kernel_name(PyObject* kernel) {
    return as_kernel(kernel)->row->name;
}

NativeWork* kernel_work_for(const TaskObject* task) {
    const KernelObject* const kernel = as_kernel(task->function);
    BoundCall call;
    KernelWork* work = nullptr;
    if (bind_call(kernel, task->arguments, task->positional, task->keyword_names, &call) &&
        call.release_gil) {
        work = kernel->row->make_work(*kernel->row, call.values.data());
    }
    PyErr_Clear();
    if (work != nullptr && work->progress_callback() != nullptr) {
        delete work;
        return nullptr;
    }
    return work;
}

int add_kernel_type(PyObject* module) {
    kernel_type =
        reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &kernel_spec, nullptr));
    if (kernel_type == nullptr ||
        PyModule_AddObjectRef(module, "Kernel", reinterpret_cast<PyObject*>(kernel_type)) != 0) {
        return -1;
    }
    PyObject* const objects = PyDict_New();
    bool ok = objects != nullptr;
    for (const KernelRow& row : kernel_table()) {
        ok = ok && add_item(objects, row.name, make_kernel(row));
    }
    PyObject* const missing = PyDict_New();
    for (const MissingKernel& each : missing_kernels()) {
        ok = ok && add_item(missing, each.name, PyUnicode_FromString(each.library));
    }
    PyObject* const libraries = PyDict_New();
    for (const auto& [name, version] : kernels::libraries()) {
        ok = ok && add_item(libraries, name.c_str(), PyUnicode_FromString(version.c_str()));
    }
    ok = ok && PyModule_AddObjectRef(module, "_kernels", objects) == 0 &&
         PyModule_AddObjectRef(module, "_missing_kernels", missing) == 0 &&
         PyModule_AddObjectRef(module, "_libraries", libraries) == 0;
    Py_XDECREF(libraries);
    Py_XDECREF(missing);
    Py_XDECREF(objects);
    return ok ? 0 : -1;
}

}  // namespace gilpool::bindings
