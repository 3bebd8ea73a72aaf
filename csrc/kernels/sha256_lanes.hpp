// kernels/sha256_lanes.hpp: SHA-256 of many short messages, sixteen in lockstep. Any thread.
//
// Each step of a hash waits for the one before, so one message at a time leaves most of a processor
// idle, and OpenSSL has no call for several. For processors with AVX-512.
#pragma once

#include <cstddef>
#include <span>

#include "kernels/bytes.hpp"
#include "kernels/hash.hpp"
#include "kernels/progress.hpp"
#include "kernels/result.hpp"
#include "kernels/stop.hpp"

namespace gilpool::kernels::sha256_lanes {

/// With fewer messages than this, one after another is faster.
inline constexpr std::size_t kFewest = 8;

/// A longer message would keep its lane when all others have run out of messages.
inline constexpr std::size_t kLongest = std::size_t{16} << 10;

/// Whether this processor can.
bool available() noexcept;

/// The digest of each message of at most kLongest bytes to its place in `digests`, which is as
/// long; the places of longer ones keep what they hold. Only if available().
Result<Done> hash(std::span<const BytesView> messages, std::span<Result<Digest>> digests,
                  Progress& progress, Stop stop) noexcept;

}  // namespace gilpool::kernels::sha256_lanes
