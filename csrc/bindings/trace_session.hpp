// bindings/trace_session.hpp: one trace from its begin to its end.
#pragma once

#include <pybind11/pybind11.h>

namespace gilpool::bindings {

/// Adds _trace_start and _trace_stop to `module`.
void bind_trace(pybind11::module_& module);

}  // namespace gilpool::bindings
