// kernels/features.hpp: what this build of the kernels can use. Any thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace gilpool::kernels {

/// The optional libraries by name; the version is that of the library loaded now where it tells,
/// else of the one built against, and empty for one that this build does without.
std::vector<std::pair<std::string, std::string>> libraries();

}  // namespace gilpool::kernels
