// kernels/sha256_compress.cpp: the steps of FIPS 180-4, in its words.
#include "kernels/sha256_compress.hpp"

#include <algorithm>
#include <utility>

#if defined(__x86_64__)
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes its own "undefined" registers for a mistake (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#define GILPOOL_AVX512 [[gnu::target("avx512f,avx512bw")]]
#define GILPOOL_AVX512_INLINE [[gnu::target("avx512f,avx512bw"), gnu::always_inline]] inline
#endif

namespace gilpool::kernels::sha256_lanes {

namespace {

constexpr std::size_t kWords = kBlock / 4;
constexpr std::size_t kSteps = 64;

/// The first 32 bits behind the point of the `degree`-th root of `number`, by bisection.
constexpr std::uint32_t fraction_of_root(std::uint64_t number, int degree) {
    __extension__ using Wide = unsigned __int128;
    const Wide scaled = Wide{number} << (32 * degree);
    std::uint64_t low = 0;
    std::uint64_t high = std::uint64_t{1} << 37;  // 2^32 times more than any root here
    while (high - low > 1) {
        const std::uint64_t middle = (low + high) / 2;
        Wide power = middle;
        for (int i = 1; i < degree; ++i) power *= middle;
        (power <= scaled ? low : high) = middle;
    }
    return static_cast<std::uint32_t>(low);
}

template <std::size_t count>
constexpr std::array<std::uint32_t, count> fractions_of_roots(int degree) {
    std::array<std::uint32_t, count> fractions{};
    std::size_t found = 0;
    for (std::uint64_t number = 2; found < count; ++number) {
        bool prime = true;
        for (std::uint64_t divisor = 2; divisor * divisor <= number; ++divisor) {
            prime = prime && number % divisor != 0;
        }
        if (prime) fractions[found++] = fraction_of_root(number, degree);
    }
    return fractions;
}

}  // namespace

constexpr std::array<std::uint32_t, kStateWords> kInitial = fractions_of_roots<kStateWords>(2);

#if defined(__x86_64__)

namespace {

constexpr auto kConstants = fractions_of_roots<kSteps>(3);

/// One word of each message.
using Word = __m512i;

GILPOOL_AVX512_INLINE Word add(Word x, Word y) noexcept {
    return _mm512_add_epi32(x, y);
}
template <int bits>
GILPOOL_AVX512_INLINE Word rotated(Word x) noexcept {
    return _mm512_ror_epi32(x, bits);
}
/// A function of three bits for each bit; `table` has its value for x = 1, y = 0, z = 0 at bit 4.
template <int table>
GILPOOL_AVX512_INLINE Word of_three(Word x, Word y, Word z) noexcept {
    return _mm512_ternarylogic_epi32(x, y, z, table);
}
constexpr int kXor = 0x96;
constexpr int kChoose = 0xCA;
constexpr int kMajority = 0xE8;

/// The word that step `step` adds; from the seventeenth on it is made of earlier ones.
template <std::size_t step>
GILPOOL_AVX512_INLINE Word scheduled(Word (&words)[kWords]) noexcept {
    Word& word = words[step % kWords];
    if constexpr (step >= kWords) {
        const Word near = words[(step - 2) % kWords];
        const Word far = words[(step - 15) % kWords];
        const Word of_near =
            of_three<kXor>(rotated<17>(near), rotated<19>(near), _mm512_srli_epi32(near, 10));
        const Word of_far =
            of_three<kXor>(rotated<7>(far), rotated<18>(far), _mm512_srli_epi32(far, 3));
        word = add(add(word, of_far), add(words[(step - 7) % kWords], of_near));
    }
    return word;
}

/// One step. The variables a to h move by one place with each, so that nothing has to be copied.
/// Sums are ordered so that the values of the step before are needed last.
template <std::size_t step>
GILPOOL_AVX512_INLINE void advance(Word (&state)[kStateWords], Word (&words)[kWords]) noexcept {
    const auto variable = [](std::size_t place) { return (place + kSteps - step) % kStateWords; };
    const Word a = state[variable(0)];
    const Word e = state[variable(4)];
    Word& d = state[variable(3)];
    Word& h = state[variable(7)];
    const Word constant = _mm512_set1_epi32(static_cast<int>(kConstants[step]));
    const Word early = add(add(h, add(scheduled<step>(words), constant)),
                           of_three<kChoose>(e, state[variable(5)], state[variable(6)]));
    const Word of_e = of_three<kXor>(rotated<6>(e), rotated<11>(e), rotated<25>(e));
    const Word of_a = of_three<kXor>(rotated<2>(a), rotated<13>(a), rotated<22>(a));
    const Word majority = of_three<kMajority>(a, state[variable(1)], state[variable(2)]);
    d = add(add(d, early), of_e);
    h = add(add(add(early, majority), of_e), of_a);
}

template <std::size_t... step>
GILPOOL_AVX512_INLINE void advance_all(Word (&state)[kStateWords], Word (&words)[kWords],
                                       std::index_sequence<step...>) noexcept {
    (advance<step>(state, words), ...);
}

/// From a row for each message to a row for each word.
GILPOOL_AVX512_INLINE void transpose(Word (&rows)[kWords]) noexcept {
    Word pairs[kWords];
    for (std::size_t i = 0; i < kWords; i += 2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    Word fours[kWords];
    for (std::size_t i = 0; i < kWords; i += 4) {
        fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    constexpr int kEven = 0x88;
    constexpr int kOdd = 0xDD;
    for (std::size_t i = 0; i < 4; ++i) {
        const Word even_left = _mm512_shuffle_i32x4(fours[i], fours[4 + i], kEven);
        const Word even_right = _mm512_shuffle_i32x4(fours[8 + i], fours[12 + i], kEven);
        const Word odd_left = _mm512_shuffle_i32x4(fours[i], fours[4 + i], kOdd);
        const Word odd_right = _mm512_shuffle_i32x4(fours[8 + i], fours[12 + i], kOdd);
        rows[i] = _mm512_shuffle_i32x4(even_left, even_right, kEven);
        rows[4 + i] = _mm512_shuffle_i32x4(odd_left, odd_right, kEven);
        rows[8 + i] = _mm512_shuffle_i32x4(even_left, even_right, kOdd);
        rows[12 + i] = _mm512_shuffle_i32x4(odd_left, odd_right, kOdd);
    }
}

}  // namespace

bool can_compress() noexcept {
    static const bool can =
        __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0;
    return can;
}

GILPOOL_AVX512 void compress(State& hash, const Places& blocks, const Addresses& ahead,
                             std::size_t count) noexcept {
    const __m512i big_endian =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    Word before[kStateWords];
    for (std::size_t i = 0; i < kStateWords; ++i) before[i] = _mm512_loadu_si512(hash[i].data());
    for (std::size_t done = 0; done < count * kBlock; done += kBlock) {
        Word words[kWords];
        for (std::size_t lane = 0; lane < kLanes; ++lane) {
            words[lane] = _mm512_loadu_si512(blocks[lane] + done);
            __builtin_prefetch(reinterpret_cast<const void*>(ahead[lane] + done));
        }
        transpose(words);
        for (Word& word : words) word = _mm512_shuffle_epi8(word, big_endian);
        Word state[kStateWords];
        std::copy(std::begin(before), std::end(before), state);
        advance_all(state, words, std::make_index_sequence<kSteps>());
        for (std::size_t i = 0; i < kStateWords; ++i) before[i] = add(before[i], state[i]);
    }
    for (std::size_t i = 0; i < kStateWords; ++i) _mm512_storeu_si512(hash[i].data(), before[i]);
}

#else

bool can_compress() noexcept {
    return false;
}

void compress(State&, const Places&, const Addresses&, std::size_t) noexcept {}

#endif

}  // namespace gilpool::kernels::sha256_lanes
