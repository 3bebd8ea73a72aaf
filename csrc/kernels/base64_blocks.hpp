// kernels/base64_blocks.hpp: the inner loops of base64, by the widest instructions there are. Any
// thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gilpool::kernels::base64 {

inline constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// No six bits: the value of a character outside the alphabet.
inline constexpr std::uint8_t kInvalid = 0xFF;

/// The six bits that each character stands for.
inline constexpr std::array<std::uint8_t, 256> kValues = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(kInvalid);
    for (std::uint8_t value = 0; value < 64; ++value) {
        values[static_cast<unsigned char>(kAlphabet[value])] = value;
    }
    return values;
}();

/// Encodes whole groups of three bytes from `from` to `to`, as many as fit in `size`.
void encode_groups(const unsigned char* from, std::size_t size, unsigned char* to) noexcept;

/// Decodes groups of four characters from `from` to `to`, up to the first group that has another
/// character than those of the alphabet; the number of characters taken. Writes nothing beyond the
/// three bytes of each group taken.
std::size_t decode_groups(const unsigned char* from, std::size_t size, unsigned char* to) noexcept;

/// The same without special instructions.
void encode_groups_portably(const unsigned char* from, std::size_t size,
                            unsigned char* to) noexcept;
std::size_t decode_groups_portably(const unsigned char* from, std::size_t size,
                                   unsigned char* to) noexcept;

}  // namespace gilpool::kernels::base64
