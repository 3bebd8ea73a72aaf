// kernels/sha256_compress.hpp: the arithmetic of SHA-256 for sixteen messages at once, in AVX-512
// registers: lane k of each is message k's. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace gilpool::kernels::sha256_lanes {

inline constexpr std::size_t kLanes = 16;
inline constexpr std::size_t kBlock = 64;
inline constexpr std::size_t kStateWords = 8;

using State = std::array<std::array<std::uint32_t, kLanes>, kStateWords>;
using Places = std::array<const std::byte*, kLanes>;
/// Numbers, for they may lie behind what may be read: fetching into the cache ignores that.
using Addresses = std::array<std::uintptr_t, kLanes>;

/// What the hash of a message begins with.
extern const std::array<std::uint32_t, kStateWords> kInitial;

/// Whether this processor can.
bool can_compress() noexcept;

/// Adds `count` blocks of each message, which begin at `blocks`, to its hash; fetches as many bytes
/// from `ahead` into the cache meanwhile.
void compress(State& hash, const Places& blocks, const Addresses& ahead,
              std::size_t count) noexcept;

}  // namespace gilpool::kernels::sha256_lanes
