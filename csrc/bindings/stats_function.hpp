// bindings/stats_function.hpp: gilpool.stats(), the process-wide counters.
#pragma once

#include <pybind11/pybind11.h>

namespace gilpool::bindings {

/// Whether tasks queued now are to be measured.
bool collecting_stats();

/// Adds stats() and collect_stats() to `module`.
void bind_stats(pybind11::module_& module);

}  // namespace gilpool::bindings
