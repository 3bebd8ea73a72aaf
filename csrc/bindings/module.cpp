// bindings/module.cpp: the module gilpool._core; only lists what it consists of.
#include <pybind11/pybind11.h>

#include "bindings/compat.hpp"
#include "bindings/errors.hpp"
#include "bindings/gil_meter.hpp"
#include "bindings/gil_words.hpp"
#include "bindings/kernel_type.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/mailbox.hpp"
#include "bindings/native_waits.hpp"
#include "bindings/phase_recorder.hpp"
#include "bindings/pool_map.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/sleep_functions.hpp"
#include "bindings/stats_function.hpp"
#include "bindings/task_links.hpp"
#include "bindings/task_methods.hpp"
#include "bindings/task_type.hpp"
#include "bindings/trace_session.hpp"
#include "bindings/witness_binding.hpp"

namespace py = pybind11;
namespace gb = gilpool::bindings;

namespace {

void add(int (*add_part)(PyObject*), py::module_& module) {
    if (add_part(module.ptr()) != 0) {
        throw py::error_already_set();
    }
}

}  // namespace

PYBIND11_MODULE(_core_of_main, module) {
    // Asked here, where the interpreter has decided: queues, tasks and pools have no other lock.
    if (!gb::gil_is_enabled()) {
        throw py::import_error(
            "gilpool needs the GIL, which is forced off here: run Python without "
            "-X gil=0 and PYTHON_GIL=0");
    }
    module.doc() = "The native part of gilpool; import gilpool instead.";
    module.attr("__version__") = GILPOOL_VERSION;
    module.attr("gil_words_are_readable") = gb::gil_words_are_readable();
    add(&gb::add_errors, module);
    add(&gb::add_task_type, module);
    add(&gb::add_link_functions, module);
    add(&gb::add_pool_type, module);
    add(&gb::add_gather, module);
    add(&gb::add_cancel_tasks, module);
    add(&gb::add_getcurrent, module);
    add(&gb::add_mailbox_type, module);
    add(&gb::add_sleep_functions, module);
    add(&gb::add_native_waits, module);
    add(&gb::add_kernel_type, module);
    add(&gb::add_lifecycle, module);
    gb::bind_stats(module);
    gb::bind_phase_recorder(module);
    gb::bind_witness_probe(module);
    gb::bind_gil_meter(module);
    gb::bind_trace(module);
}

/// Workers, queues and hooks belong to the process, and their GIL is the main interpreter's. Said
/// before pybind11 asks for the GIL, which it does in a way that hangs a subinterpreter.
PyMODINIT_FUNC PyInit__core() {
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "gilpool does not support subinterpreters");
        return nullptr;
    }
    return PyInit__core_of_main();
}
