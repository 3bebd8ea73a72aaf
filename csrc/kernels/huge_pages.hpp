// kernels/huge_pages.hpp: fewer page faults under large new memory. Any thread.
#pragma once

#include <cstddef>

namespace gilpool::kernels {

/// Asks the system to back memory that is about to be filled for the first time with large pages,
/// where it has them. Otherwise most of the time of a fast kernel goes into a fault every 4 kB, and
/// threads of one process wait for each other in them.
void ask_for_huge_pages(void* memory, std::size_t size) noexcept;

}  // namespace gilpool::kernels
