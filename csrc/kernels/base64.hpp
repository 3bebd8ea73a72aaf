// kernels/base64.hpp: base64 as Python's base64 module makes and reads it. Any thread.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/bytes.hpp"
#include "kernels/result.hpp"
#include "kernels/stop.hpp"

namespace gilpool::kernels {

/// How many characters `size` bytes become, padding included.
constexpr std::size_t b64encoded_size(std::size_t size) noexcept {
    return (size / 3 + (size % 3 != 0 ? 1 : 0)) * 4;
}

/// At most how many bytes `size` characters become.
constexpr std::size_t b64decoded_limit(std::size_t size) noexcept {
    return size / 4 * 3 + size % 4;
}

/// `base64.b64encode(data)` into `out`, which has b64encoded_size(data.size()) bytes and does not
/// overlap; the number of bytes written: all.
Result<std::uint64_t> b64encode(BytesView data, std::span<std::byte> out, Stop stop) noexcept;

/// How malformed text is read: as Python's validate=True reads it, or else with what is not in the
/// alphabet passed over.
enum class Base64Rules : unsigned char {
    strict,           ///< those of Python 3.13.15; 3.10 to 3.12 take some superfluous padding
    ends_at_padding,  ///< nothing after complete padding is looked at
    goes_on,          ///< padding that more characters follow is passed over, too
};

/// `base64.b64decode(text)` into `out`, which has b64decoded_limit(text.size()) bytes and does not
/// overlap; the number of bytes written. Text that is malformed is an error in Python's words.
Result<std::uint64_t> b64decode(BytesView text, Base64Rules rules, std::span<std::byte> out,
                                Stop stop) noexcept;

}  // namespace gilpool::kernels
