// bindings/witness_binding.hpp: the probe as a class of the module. GIL held.
#pragma once

#include <pybind11/pybind11.h>

namespace gilpool::bindings {

/// Adds WitnessProbe to `module`.
void bind_witness_probe(pybind11::module_& module);

}  // namespace gilpool::bindings
