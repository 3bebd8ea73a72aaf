// kernels/huge_pages.cpp: a hint by madvise(2), on Linux.
#include "kernels/huge_pages.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdint>

namespace gilpool::kernels {

namespace {

constexpr std::uintptr_t kHugePage = std::uintptr_t{2} << 20;

}  // namespace

void ask_for_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t size) noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    // Whole large pages only: what shares a page with the ends is somebody else's.
    const auto address = reinterpret_cast<std::uintptr_t>(memory);
    const std::uintptr_t begin = (address + kHugePage - 1) / kHugePage * kHugePage;
    const std::uintptr_t end = (address + size) / kHugePage * kHugePage;
    if (begin < end) {
        (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
    }
#endif
}

}  // namespace gilpool::kernels
