// core/limits.hpp: how many threads this process may reasonably start.
#pragma once

#include <cstddef>

namespace gilpool::core {

/// The smallest of the limits that stop thread creation (user, cgroup, kernel, memory maps), less
/// room for the rest of the process; between 8 and 16,384.
std::size_t thread_limit();

}  // namespace gilpool::core
