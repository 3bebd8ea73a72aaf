// kernels/crc32c.cpp: three streams at once through the processor's instruction, else eight tables.
#include "kernels/crc32c.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define GILPOOL_CRC32C_INSTRUCTION [[gnu::target("sse4.2")]]
#elif defined(__aarch64__)
#include <arm_acle.h>
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#define GILPOOL_CRC32C_INSTRUCTION [[gnu::target("+crc")]]
#endif

namespace gilpool::kernels {

namespace {

/// Bytes between two looks at the stop flag: 1 ms of work by tables.
constexpr std::size_t kStride = std::size_t{1} << 20;

/// The polynomial, bits reversed: the highest bit is the coefficient of x^0.
constexpr std::uint32_t kPolynomial = 0x82F63B78;

/// `value` times x, modulo the polynomial.
constexpr std::uint32_t times_x(std::uint32_t value) {
    return (value >> 1) ^ ((value & 1) != 0 ? kPolynomial : 0);
}

constexpr std::uint32_t times(std::uint32_t left, std::uint32_t right) {
    std::uint32_t product = 0;
    for (std::uint32_t bit = 0x80000000; bit != 0; bit >>= 1) {
        if ((left & bit) != 0) product ^= right;
        right = times_x(right);
    }
    return product;
}

/// x to the power of 8 * `bytes`: multiplying by it is what feeding that many zero bytes does.
constexpr std::uint32_t zeros(std::size_t bytes) {
    std::uint32_t power = 0x80000000;
    std::uint32_t square = 0x00800000;  // x^8
    for (; bytes != 0; bytes >>= 1) {
        if ((bytes & 1) != 0) power = times(power, square);
        square = times(square, square);
    }
    return power;
}

using Table = std::array<std::uint32_t, 256>;

/// tables[k][b]: the checksum of byte b followed by k zero bytes.
constexpr std::array<Table, 8> kTables = [] {
    std::array<Table, 8> tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::uint32_t value = byte;
        for (int bit = 0; bit < 8; ++bit) value = times_x(value);
        tables[0][byte] = value;
    }
    for (std::size_t k = 1; k < 8; ++k) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint32_t before = tables[k - 1][byte];
            tables[k][byte] = (before >> 8) ^ tables[0][before & 0xFF];
        }
    }
    return tables;
}();

std::uint32_t add_byte(std::uint32_t state, std::byte byte) noexcept {
    return (state >> 8) ^ kTables[0][(state ^ std::to_integer<std::uint32_t>(byte)) & 0xFF];
}

std::uint32_t add_by_tables(std::uint32_t state, BytesView data) noexcept {
    std::size_t at = 0;
    if constexpr (std::endian::native == std::endian::little) {
        for (; data.size() - at >= 8; at += 8) {
            std::uint64_t word;
            std::memcpy(&word, data.data() + at, sizeof word);
            word ^= state;
            state = 0;
            for (std::size_t k = 0; k < 8; ++k) state ^= kTables[7 - k][(word >> (8 * k)) & 0xFF];
        }
    }
    for (; at < data.size(); ++at) state = add_byte(state, data[at]);
    return state;
}

#if defined(GILPOOL_CRC32C_INSTRUCTION)

/// Multiplies by a fixed power of x with four look-ups.
template <std::size_t kBytes>
struct Shift {
    static constexpr std::array<Table, 4> kShifted = [] {
        std::array<Table, 4> tables{};
        const std::uint32_t power = zeros(kBytes);
        for (std::uint32_t k = 0; k < 4; ++k) {
            // Linear, so a byte's value is put together from those of its bits.
            for (std::uint32_t bit = 0; bit < 8; ++bit) {
                const std::uint32_t image = times(power, std::uint32_t{1} << (8 * k + bit));
                for (std::uint32_t below = 0; below < (1U << bit); ++below) {
                    tables[k][(1U << bit) | below] = tables[k][below] ^ image;
                }
            }
        }
        return tables;
    }();

    static std::uint32_t apply(std::uint32_t state) noexcept {
        return kShifted[0][state & 0xFF] ^ kShifted[1][(state >> 8) & 0xFF] ^
               kShifted[2][(state >> 16) & 0xFF] ^ kShifted[3][state >> 24];
    }
};

#if defined(__x86_64__)
bool has_instruction() noexcept {
    return __builtin_cpu_supports("sse4.2") != 0;
}

GILPOOL_CRC32C_INSTRUCTION inline std::uint64_t step8(std::uint64_t state,
                                                      const std::byte* at) noexcept {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    return _mm_crc32_u64(state, word);
}
#else
bool has_instruction() noexcept {
#if defined(__APPLE__)
    return true;
#elif defined(__linux__)
    constexpr unsigned long kHasCrc32 = 1UL << 7;
    return (getauxval(AT_HWCAP) & kHasCrc32) != 0;
#else
    return false;
#endif
}

GILPOOL_CRC32C_INSTRUCTION inline std::uint64_t step8(std::uint64_t state,
                                                      const std::byte* at) noexcept {
    std::uint64_t word;
    std::memcpy(&word, at, sizeof word);
    return __crc32cd(static_cast<std::uint32_t>(state), word);
}
#endif

/// The instruction takes three cycles and one can start in each, so three blocks that follow each
/// other are summed side by side and then joined.
template <std::size_t kBlock>
GILPOOL_CRC32C_INSTRUCTION void add_triples(std::uint32_t& state, BytesView& data) noexcept {
    while (data.size() >= 3 * kBlock) {
        const std::byte* at = data.data();
        std::uint64_t first = state;
        std::uint64_t second = 0;
        std::uint64_t third = 0;
        for (const std::byte* const end = at + kBlock; at != end; at += 8) {
            first = step8(first, at);
            second = step8(second, at + kBlock);
            third = step8(third, at + 2 * kBlock);
        }
        const auto two = Shift<kBlock>::apply(static_cast<std::uint32_t>(first)) ^
                         static_cast<std::uint32_t>(second);
        state = Shift<kBlock>::apply(two) ^ static_cast<std::uint32_t>(third);
        data = data.subspan(3 * kBlock);
    }
}

GILPOOL_CRC32C_INSTRUCTION std::uint32_t add_by_instruction(std::uint32_t state,
                                                            BytesView data) noexcept {
    add_triples<8192>(state, data);
    add_triples<256>(state, data);
    std::uint64_t wide = state;
    for (; data.size() >= 8; data = data.subspan(8)) wide = step8(wide, data.data());
    state = static_cast<std::uint32_t>(wide);
    for (const std::byte byte : data) state = add_byte(state, byte);
    return state;
}

std::uint32_t add(std::uint32_t state, BytesView data) noexcept {
    static const bool instruction = has_instruction();
    return instruction ? add_by_instruction(state, data) : add_by_tables(state, data);
}

#else

std::uint32_t add(std::uint32_t state, BytesView data) noexcept {
    return add_by_tables(state, data);
}

#endif

template <class Add>
Result<std::uint32_t> run(BytesView data, std::uint32_t value, Stop stop, Add add_some) noexcept {
    std::uint32_t state = ~value;
    for (std::size_t done = 0; done < data.size(); done += kStride) {
        if (stop.requested()) return Error{ErrorKind::stopped};
        state = add_some(state, data.subspan(done, std::min(kStride, data.size() - done)));
    }
    return ~state;
}

}  // namespace

Result<std::uint32_t> crc32c(BytesView data, std::uint32_t value, Stop stop) noexcept {
    return run(data, value, stop, add);
}

Result<std::uint32_t> crc32c_by_tables(BytesView data, std::uint32_t value, Stop stop) noexcept {
    return run(data, value, stop, add_by_tables);
}

}  // namespace gilpool::kernels
