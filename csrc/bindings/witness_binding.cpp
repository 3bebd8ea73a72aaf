// bindings/witness_binding.cpp: the names and words that Python knows a probe by.
#include "bindings/witness_binding.hpp"

#include <pybind11/stl.h>

#include <initializer_list>
#include <string>
#include <utility>

#include "bindings/witness_probe.hpp"

namespace gilpool::bindings {

namespace py = pybind11;

namespace {

/// What a name from Python stands for.
template <typename Value>
Value named(const std::string& name, std::initializer_list<std::pair<const char*, Value>> values) {
    for (const auto& [known, value] : values) {
        if (name == known) {
            return value;
        }
    }
    throw py::value_error("unknown: " + name);
}

}  // namespace

void bind_witness_probe(py::module_& module) {
    py::class_<WitnessProbe> probe(module, "WitnessProbe",
                                   "Rounds of calls beside a thread that wants the GIL.");
    py::class_<WitnessProbe::Round>(probe, "Round", "What one round of calls has shown.")
        .def_readonly("calls", &WitnessProbe::Round::calls)
        .def_readonly("wall", &WitnessProbe::Round::wall)
        .def_readonly("longest_call", &WitnessProbe::Round::longest_call)
        .def_readonly("cpu", &WitnessProbe::Round::cpu)
        .def_readonly("wins", &WitnessProbe::Round::wins)
        .def_readonly("woken", &WitnessProbe::Round::woken)
        .def_readonly("watched", &WitnessProbe::Round::watched);
    py::class_<HoldSampler::Seen>(probe, "Looks", "What a thread that looked has seen; seconds.")
        .def_readonly("held", &HoldSampler::Seen::held)
        .def_readonly("released", &HoldSampler::Seen::released)
        .def_readonly("longest", &HoldSampler::Seen::longest)
        .def_readonly("looks", &HoldSampler::Seen::looks)
        .def_readonly("releases", &HoldSampler::Seen::releases)
        .def_readonly("blind", &HoldSampler::Seen::blind);
    probe.def(py::init<double, bool>(), py::arg("old_interval"), py::arg("watch_wakes") = true)
        .def(
            "call",
            [](WitnessProbe& self, const py::object& function, const py::tuple& args,
               const py::dict& kwargs, double seconds, const std::string& beside) {
                using enum WitnessProbe::Beside;
                return self.call(function.ptr(), args.ptr(), kwargs.ptr(), seconds,
                                 named<WitnessProbe::Beside>(beside, {{"watched", watched},
                                                                      {"wins_only", wins_only},
                                                                      {"nobody", nobody}}));
            },
            py::arg("function"), py::arg("args"), py::arg("kwargs"), py::arg("seconds"),
            py::arg("beside"),
            "Call the function for so many seconds, at least once, beside a witness: 'watched', "
            "'wins_only' or 'nobody'.")
        .def("control", &WitnessProbe::control, py::arg("windows"), py::arg("seconds"),
             "Let the GIL go so many times for so many seconds; whether the witness noticed.")
        .def(
            "control_closely", &WitnessProbe::control_closely, py::arg("patience"),
            "Let the GIL go briefly until the sampler, which watches closely, has seen that; false "
            "if it has not within so many seconds.")
        .def("release_for", &WitnessProbe::release_for, py::arg("seconds"),
             "Let the GIL go for so many seconds.")
        .def(
            "start_sampling",
            [](WitnessProbe& self, const std::string& manner) {
                using enum HoldSampler::Manner;
                self.start_sampling(named<HoldSampler::Manner>(
                    manner, {{"alone", alone}, {"contested", contested}, {"closely", closely}}));
            },
            py::arg("manner"),
            "Begin to look whether this thread holds the GIL in its calls: 'alone', 'contested' or "
            "'closely'.")
        .def("stop_sampling", &WitnessProbe::stop_sampling, "End that; what was seen.")
        .def_property_readonly("close_releases", &WitnessProbe::close_releases,
                               "Close looks so far that found the GIL let go in a call.")
        .def_property_readonly("watches_wakes", &WitnessProbe::watches_wakes,
                               "Whether the kernel tells when the witness was woken.")
        .def_property_readonly("hogged", &WitnessProbe::hogged,
                               "Whether another thread has kept the GIL for long.")
        .def("close", &WitnessProbe::close, "End the threads; idempotent.");
}

}  // namespace gilpool::bindings
