// kernels/bytes.hpp: bytes a kernel reads, and bytes it makes. Plain data, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

namespace gilpool::kernels {

/// Bytes of somebody else, which stay alive and are not resized while a kernel runs.
using BytesView = std::span<const std::byte>;

/// Whether the two have memory in common: what is written to one would change the other.
template <class Left, class Right>
bool overlap(std::span<Left> left, std::span<Right> right) noexcept {
    const auto address = [](const void* place) { return reinterpret_cast<std::uintptr_t>(place); };
    return address(left.data()) < address(right.data()) + right.size_bytes() &&
           address(right.data()) < address(left.data()) + left.size_bytes();
}

/// Leaves new elements as they are: a buffer that is about to be filled need not be zeroed first.
template <class T>
struct UninitializedAllocator : std::allocator<T> {
    template <class U>
    struct rebind {
        using other = UninitializedAllocator<U>;
    };

    template <class U>
    void construct(U* place) noexcept {
        ::new (static_cast<void*>(place)) U;
    }
    template <class U, class... Arguments>
    void construct(U* place, Arguments&&... arguments) {
        ::new (static_cast<void*>(place)) U(std::forward<Arguments>(arguments)...);
    }
};

/// Bytes that a kernel returns. `Bytes(n)` and `resize(n)` leave new bytes uninitialised.
using Bytes = std::vector<std::byte, UninitializedAllocator<std::byte>>;

}  // namespace gilpool::kernels
