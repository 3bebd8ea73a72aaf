// bindings/kernel_row.hpp: what the table says about a kernel. Plain data, made at import.
#pragma once

#include <Python.h>

#include <cstddef>
#include <vector>

#include "core/pool.hpp"

namespace gilpool::bindings {

class KernelWork;

/// A parameter as Python sees it.
struct Parameter {
    const char* name;
    const char* fallback = nullptr;  ///< a Python literal; null: the argument must be given
};

struct KernelRow {
    const char* name;
    std::vector<Parameter> parameters;

    /// What the function does with its thread: compute, or wait for files.
    core::Lane lane;

    /// A direct call about fewer bytes keeps the GIL: to let it go and take it back would cost
    /// more.
    std::size_t keeps_gil_below;

    /// A call for tests, benchmarks and the experiment, as a Python tuple of arguments in which `n`
    /// scales the work; the words it may use are in gilpool/_kernel_calls.py.
    const char* example;

    const char* doc;

    /// The work of one call, or null with an exception set. `values` are the arguments in the order
    /// of the parameters, borrowed.
    KernelWork* (*make_work)(const KernelRow& row, PyObject* const* values);
};

/// All kernels of this build.
const std::vector<KernelRow>& kernel_table();

/// A kernel that this build lacks, for want of a library.
struct MissingKernel {
    const char* name;
    const char* library;
};
const std::vector<MissingKernel>& missing_kernels();

}  // namespace gilpool::bindings
