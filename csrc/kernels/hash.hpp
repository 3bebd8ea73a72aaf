// kernels/hash.hpp: digests of bytes and files by OpenSSL, alone and in batches. Any thread.
//
// Only where OpenSSL 3 was found: GILPOOL_HAS_OPENSSL is 1 then.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/bytes.hpp"
#include "kernels/path.hpp"
#include "kernels/progress.hpp"
#include "kernels/result.hpp"
#include "kernels/stop.hpp"

namespace gilpool::kernels {

/// The bytes of a digest; as many as the algorithm has.
struct Digest {
    static constexpr std::size_t kMaxSize = 64;

    std::array<std::byte, kMaxSize> storage;
    std::uint8_t size = 0;

    BytesView bytes() const noexcept { return {storage.data(), size}; }
};

/// `algorithm` is a name as hashlib or OpenSSL knows it ("sha256", "blake2b", "sha3_512",
/// "SHA2-256"), in any case; one that does not exist, or whose digest has no fixed length
/// (shake_128), is a value error that names it.
Result<Digest> hash_bytes(BytesView data, std::string_view algorithm, Stop stop) noexcept;

Result<Digest> sha256(BytesView data, Stop stop) noexcept;

/// Reads the file in pieces: the memory needed does not depend on its size.
Result<Digest> hash_file(const Path& path, std::string_view algorithm, Stop stop) noexcept;

/// One digest for each item, at its place in `digests`, which is as long. An error returned is one
/// of the whole batch (stopped, unknown algorithm); the places not reached keep what they hold.
Result<Done> hash_many(std::span<const BytesView> items, std::string_view algorithm,
                       std::span<Result<Digest>> digests, Progress& progress, Stop stop) noexcept;

/// The same for files. A file that cannot be read leaves its error in its place.
Result<Done> hash_files(std::span<const Path> paths, std::string_view algorithm,
                        std::span<Result<Digest>> digests, Progress& progress, Stop stop) noexcept;

}  // namespace gilpool::kernels
