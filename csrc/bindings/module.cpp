// bindings/module.cpp: the module gilpool._core; only lists what it consists of.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/errors.hpp"
#include "bindings/gil_words.hpp"
#include "bindings/lifecycle.hpp"
#include "bindings/phase_recorder.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/sleep_functions.hpp"
#include "bindings/task_type.hpp"

namespace py = pybind11;
namespace gb = gilpool::bindings;

namespace {

void add(int (*add_part)(PyObject*), py::module_& module) {
    if (add_part(module.ptr()) != 0) {
        throw py::error_already_set();
    }
}

void bind_phase_recorder(py::module_& module) {
    py::class_<gb::PhaseRecorder>(module, "PhaseRecorder",
                                  "Records what each thread of an experiment does with the GIL.")
        .def(py::init<int, int, int, bool>(), py::arg("threads"), py::kw_only(), py::arg("fd") = -1,
             py::arg("row") = 0, py::arg("gate") = true)
        .def("spawned", &gb::PhaseRecorder::spawned, py::arg("index"),
             "Stamp that call `index` has been asked for.")
        .def(
            "run",
            [](gb::PhaseRecorder& self, int index, py::function function, py::args args) {
                PyObject* const result = self.run(index, function.ptr(), args.ptr());
                if (result == nullptr) {
                    throw py::error_already_set();
                }
                return py::reinterpret_steal<py::object>(result);
            },
            py::arg("index"), py::arg("function"), py::pos_only(),
            "Run function(*args) on this thread as call `index`, stamping its phases.")
        .def("close", &gb::PhaseRecorder::close, "Stop watching; the events stay.")
        .def_property_readonly("events", &gb::PhaseRecorder::events,
                               "List of (index, phase, monotonic ns, native thread id).");
}

}  // namespace

PYBIND11_MODULE(_core, module) {
    module.doc() = "The native part of gilpool; import gilpool instead.";
    module.attr("__version__") = GILPOOL_VERSION;
    module.attr("gil_words_are_readable") = gb::gil_words_are_readable();
    add(&gb::add_errors, module);
    add(&gb::add_task_type, module);
    add(&gb::add_pool_type, module);
    add(&gb::add_sleep_functions, module);
    add(&gb::add_lifecycle, module);
    bind_phase_recorder(module);
}
