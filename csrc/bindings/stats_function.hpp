// bindings/stats_function.hpp: gilpool.stats(), the process-wide counters.
#pragma once

#include <pybind11/pybind11.h>

namespace gilpool::bindings {

/// Adds stats() to `module`.
void bind_stats(pybind11::module_& module);

}  // namespace gilpool::bindings
