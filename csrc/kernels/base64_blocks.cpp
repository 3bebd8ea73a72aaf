// kernels/base64_blocks.cpp: tables of the portable loops, and the same by AVX2, 32 characters at a
// time. Which one is decided once, when first needed.
#include "kernels/base64_blocks.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#define GILPOOL_AVX2 [[gnu::target("avx2")]]
#endif

namespace gilpool::kernels::base64 {

namespace {

/// The two characters of twelve bits.
struct Pair {
    unsigned char first;
    unsigned char second;
};

constexpr std::array<Pair, 4096> kPairs = [] {
    std::array<Pair, 4096> pairs{};
    for (std::size_t bits = 0; bits < pairs.size(); ++bits) {
        pairs[bits] = {static_cast<unsigned char>(kAlphabet[bits >> 6]),
                       static_cast<unsigned char>(kAlphabet[bits & 63])};
    }
    return pairs;
}();

/// More than 24 bits: marks a character outside the alphabet, and survives being joined by |.
constexpr std::uint32_t kInvalidGroup = std::uint32_t{1} << 31;

/// kPlaced[i][c]: the bits of character c where they stand as the i-th of a group.
constexpr std::array<std::array<std::uint32_t, 256>, 4> kPlaced = [] {
    std::array<std::array<std::uint32_t, 256>, 4> placed{};
    for (std::size_t position = 0; position < 4; ++position) {
        for (std::size_t letter = 0; letter < 256; ++letter) {
            placed[position][letter] = kValues[letter] == kInvalid
                                           ? kInvalidGroup
                                           : static_cast<std::uint32_t>(kValues[letter])
                                                 << (18 - 6 * position);
        }
    }
    return placed;
}();

#if defined(__x86_64__)

/// A table of sixteen bytes, for look-ups by the lower half of a byte.
using Nibbles = std::array<std::int8_t, 16>;

GILPOOL_AVX2 inline __m256i twice(const Nibbles& table) noexcept {
    return _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(table.data())));
}

/// A character is its six bits plus an offset that depends on the range they are in: 0 for a..z, 1
/// to 10 for each digit, 11 and 12 for + and /, 13 for A..Z.
constexpr Nibbles kEncodeOffsets = [] {
    Nibbles offsets{};
    offsets[0] = 'a' - 26;
    for (std::size_t digit = 1; digit <= 10; ++digit) offsets[digit] = '0' - 52;
    offsets[11] = '+' - 62;
    offsets[12] = '/' - 63;
    offsets[13] = 'A';
    return offsets;
}();

/// Characters whose upper halves are alike in which lower halves are valid share a bit; a character
/// is invalid if kLowerClass of its lower half has the bit that kUpperClass of its upper half has.
constexpr int class_of(std::size_t upper) {
    switch (upper) {
        case 2:  // + and /
            return 1;
        case 3:  // digits
            return 2;
        case 4:  // the first fifteen letters
        case 6:
            return 4;
        case 5:  // the others
        case 7:
            return 8;
        default:
            return 16;
    }
}

constexpr Nibbles kUpperClass = [] {
    Nibbles classes{};
    for (std::size_t upper = 0; upper < 16; ++upper) {
        classes[upper] = static_cast<std::int8_t>(class_of(upper));
    }
    return classes;
}();

constexpr Nibbles kLowerClass = [] {
    Nibbles classes{};
    for (std::size_t lower = 0; lower < 16; ++lower) {
        int invalid = 0;
        for (std::size_t upper = 0; upper < 16; ++upper) {
            if (kValues[upper * 16 + lower] == kInvalid) invalid |= class_of(upper);
        }
        classes[lower] = static_cast<std::int8_t>(invalid);
    }
    return classes;
}();

/// What to add to a character to have its six bits, by its upper half; '/' stands at 1, which no
/// character of the alphabet uses, since it shares its upper half with '+'.
constexpr Nibbles kDecodeOffsets = [] {
    Nibbles offsets{};
    offsets[1] = 63 - '/';
    offsets[2] = 62 - '+';
    offsets[3] = 52 - '0';
    offsets[4] = offsets[5] = -'A';
    offsets[6] = offsets[7] = 26 - 'a';
    return offsets;
}();

bool has_avx2() noexcept {
    return __builtin_cpu_supports("avx2") != 0;
}

/// Takes 24 bytes a round, but looks at 28; the number of bytes taken.
GILPOOL_AVX2 std::size_t encode_by_avx2(const unsigned char* from, std::size_t size,
                                        unsigned char* to) noexcept {
    const __m256i offsets = twice(kEncodeOffsets);
    // Each group of three bytes a, b, c becomes four: b, a, c, b.
    const __m256i spread = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10));
    std::size_t done = 0;
    for (; size - done >= 28; done += 24, to += 32) {
        const auto* const low = reinterpret_cast<const __m128i*>(from + done);
        const auto* const high = reinterpret_cast<const __m128i*>(from + done + 12);
        const __m256i bytes = _mm256_shuffle_epi8(
            _mm256_set_m128i(_mm_loadu_si128(high), _mm_loadu_si128(low)), spread);
        // A multiplication by a power of two moves each field of six bits to a byte of its own.
        const __m256i odd = _mm256_mulhi_epu16(
            _mm256_and_si256(bytes, _mm256_set1_epi32(0x0FC0FC00)), _mm256_set1_epi32(0x04000040));
        const __m256i even = _mm256_mullo_epi16(
            _mm256_and_si256(bytes, _mm256_set1_epi32(0x003F03F0)), _mm256_set1_epi32(0x01000010));
        const __m256i values = _mm256_or_si256(odd, even);
        const __m256i upper_case =
            _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), values), _mm256_set1_epi8(13));
        const __m256i range =
            _mm256_or_si256(_mm256_subs_epu8(values, _mm256_set1_epi8(51)), upper_case);
        const __m256i text = _mm256_add_epi8(values, _mm256_shuffle_epi8(offsets, range));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), text);
    }
    return done;
}

GILPOOL_AVX2 std::size_t decode_by_avx2(const unsigned char* from, std::size_t size,
                                        unsigned char* to) noexcept {
    const __m256i upper_class = twice(kUpperClass);
    const __m256i lower_class = twice(kLowerClass);
    const __m256i offsets = twice(kDecodeOffsets);
    const __m256i half = _mm256_set1_epi8(0x0F);
    // The three bytes of a group stand in reverse in each word of four.
    const __m256i gather = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1));
    std::size_t done = 0;
    for (; size - done >= 32; done += 32, to += 24) {
        const __m256i text = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + done));
        const __m256i upper = _mm256_and_si256(_mm256_srli_epi32(text, 4), half);
        const __m256i lower = _mm256_and_si256(text, half);
        if (_mm256_testz_si256(_mm256_shuffle_epi8(upper_class, upper),
                               _mm256_shuffle_epi8(lower_class, lower)) == 0) {
            break;
        }
        const __m256i slash = _mm256_cmpeq_epi8(text, _mm256_set1_epi8('/'));
        const __m256i values =
            _mm256_add_epi8(text, _mm256_shuffle_epi8(offsets, _mm256_add_epi8(upper, slash)));
        const __m256i twelve = _mm256_maddubs_epi16(values, _mm256_set1_epi32(0x01400140));
        const __m256i groups = _mm256_madd_epi16(twelve, _mm256_set1_epi32(0x00011000));
        const __m256i bytes = _mm256_permutevar8x32_epi32(
            _mm256_shuffle_epi8(groups, gather), _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(bytes));
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to + 16), _mm256_extracti128_si256(bytes, 1));
    }
    return done;
}

#endif

}  // namespace

void encode_groups_portably(const unsigned char* from, std::size_t size,
                            unsigned char* to) noexcept {
    for (; size >= 3; size -= 3, from += 3, to += 4) {
        const Pair high = kPairs[static_cast<std::size_t>(from[0]) << 4 | from[1] >> 4];
        const Pair low = kPairs[static_cast<std::size_t>(from[1] & 15) << 8 | from[2]];
        to[0] = high.first;
        to[1] = high.second;
        to[2] = low.first;
        to[3] = low.second;
    }
}

std::size_t decode_groups_portably(const unsigned char* from, std::size_t size,
                                   unsigned char* to) noexcept {
    std::size_t done = 0;
    for (; size - done >= 4; done += 4, to += 3) {
        const std::uint32_t bits = kPlaced[0][from[done]] | kPlaced[1][from[done + 1]] |
                                   kPlaced[2][from[done + 2]] | kPlaced[3][from[done + 3]];
        if ((bits & kInvalidGroup) != 0) break;
        to[0] = static_cast<unsigned char>(bits >> 16);
        to[1] = static_cast<unsigned char>(bits >> 8);
        to[2] = static_cast<unsigned char>(bits);
    }
    return done;
}

void encode_groups(const unsigned char* from, std::size_t size, unsigned char* to) noexcept {
    std::size_t done = 0;
#if defined(__x86_64__)
    static const bool avx2 = has_avx2();
    if (avx2) done = encode_by_avx2(from, size, to);
#endif
    encode_groups_portably(from + done, size - done, to + done / 3 * 4);
}

std::size_t decode_groups(const unsigned char* from, std::size_t size, unsigned char* to) noexcept {
    std::size_t done = 0;
#if defined(__x86_64__)
    static const bool avx2 = has_avx2();
    if (avx2) done = decode_by_avx2(from, size, to);
#endif
    return done + decode_groups_portably(from + done, size - done, to + done / 4 * 3);
}

}  // namespace gilpool::kernels::base64
