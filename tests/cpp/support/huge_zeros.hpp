// tests/cpp/support/huge_zeros.hpp: gigabytes of zero bytes that cost no memory.
#pragma once

#include <sys/mman.h>

#include "kernels/bytes.hpp"

namespace gilpool::test {

/// Reads map the kernel's one zero page everywhere; only what a test writes becomes real.
class HugeZeros {
  public:
    explicit HugeZeros(std::size_t size) : size_(size) {
        void* const start = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (start != MAP_FAILED) start_ = static_cast<std::byte*>(start);
    }
    ~HugeZeros() {
        if (start_ != nullptr) ::munmap(start_, size_);
    }
    HugeZeros(const HugeZeros&) = delete;
    HugeZeros& operator=(const HugeZeros&) = delete;

    bool mapped() const noexcept { return start_ != nullptr; }
    std::span<std::byte> bytes() const noexcept { return {start_, size_}; }

  private:
    std::byte* start_ = nullptr;
    std::size_t size_;
};

}  // namespace gilpool::test
