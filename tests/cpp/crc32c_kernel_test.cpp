// CRC-32C against published values, a bit-by-bit one, and itself in pieces.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "kernels/crc32c.hpp"
#include "support/bytes_of.hpp"

namespace gilpool::kernels {
namespace {

using test::bytes_of;

std::uint32_t slow_crc32c(std::string_view data, std::uint32_t value) {
    value = ~value;
    for (const char byte : data) {
        value ^= static_cast<unsigned char>(byte);
        for (int bit = 0; bit < 8; ++bit) {
            value = (value >> 1) ^ ((value & 1) != 0 ? 0x82F63B78U : 0U);
        }
    }
    return ~value;
}

std::uint32_t summed(std::string_view data, std::uint32_t value = 0) {
    return crc32c(bytes_of(data), value, Stop()).value();
}

TEST(Crc32c, HasTheValuesOfRfc3720) {
    EXPECT_EQ(summed(""), 0U);
    EXPECT_EQ(summed("123456789"), 0xE3069283U);
    EXPECT_EQ(summed(std::string(32, '\0')), 0x8A9136AAU);
    EXPECT_EQ(summed(std::string(32, '\xFF')), 0x62A8AB43U);
}

TEST(Crc32c, AgreesWithTheSlowOneInBothWays) {
    std::mt19937_64 random(1);
    std::string data(30'000, '\0');
    for (char& byte : data) byte = static_cast<char>(random());
    for (int round = 0; round < 2'000; ++round) {
        const std::size_t from = random() % 16;
        const std::size_t most = round % 10 == 0 ? data.size() - from : 900;
        const std::string_view part = std::string_view(data).substr(from, random() % (most + 1));
        const auto value = static_cast<std::uint32_t>(random());
        const std::uint32_t expected = slow_crc32c(part, value);
        ASSERT_EQ(summed(part, value), expected) << part.size();
        ASSERT_EQ(crc32c_by_tables(bytes_of(part), value, Stop()).value(), expected);
    }
}

TEST(Crc32c, GoesOnWhereItStopped) {
    std::mt19937_64 random(2);
    std::string data(3'000'000, '\0');
    for (char& byte : data) byte = static_cast<char>(random());
    const std::string_view all(data);
    const std::uint32_t expected = summed(all);
    EXPECT_EQ(crc32c_by_tables(bytes_of(all), 0, Stop()).value(), expected);
    for (const std::size_t cut : {0U, 1U, 24'576U, 1'048'576U, 2'999'999U}) {
        EXPECT_EQ(summed(all.substr(cut), summed(all.substr(0, cut))), expected);
    }
}

TEST(Crc32c, StopsWhenAsked) {
    const std::atomic<bool> flag{true};
    EXPECT_EQ(crc32c(bytes_of("a"), 0, Stop(flag)).error().kind, ErrorKind::stopped);
}

}  // namespace
}  // namespace gilpool::kernels
