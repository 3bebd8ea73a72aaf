// kernels/sleep.hpp: the plain blocking sleep of the experiment. Any thread; knows nothing of the
// GIL.
#pragma once

#include <chrono>

namespace gilpool::kernels {

/// Blocks the calling thread until `deadline`; false if a signal handler ran before it came.
bool sleep_until(std::chrono::steady_clock::time_point deadline) noexcept;

}  // namespace gilpool::kernels
