// Counts in bytes against slow and simple ones, at every alignment and length that matters.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "kernels/text.hpp"
#include "support/bytes_of.hpp"
#include "support/huge_zeros.hpp"

namespace gilpool::kernels {
namespace {

using test::bytes_of;

std::uint64_t slow_count(const std::string& data, const std::string& pattern) {
    if (pattern.empty()) return data.size() + 1;
    std::uint64_t matches = 0;
    for (std::size_t at = 0; (at = data.find(pattern, at)) != std::string::npos;) {
        ++matches;
        at += pattern.size();
    }
    return matches;
}

std::uint64_t slow_words(const std::string& data) {
    std::uint64_t words = 0;
    bool inside = false;
    for (const char letter : data) {
        const bool space = std::string_view(" \t\n\r\v\f").find(letter) != std::string_view::npos;
        words += !space && !inside ? 1 : 0;
        inside = !space;
    }
    return words;
}

std::string random_text(std::mt19937_64& random, std::string_view alphabet, std::size_t size) {
    std::string text(size, '\0');
    for (char& letter : text) letter = alphabet[random() % alphabet.size()];
    return text;
}

std::uint64_t counted(std::string_view data, std::string_view pattern) {
    return count(bytes_of(data), bytes_of(pattern), Stop()).value();
}

TEST(Count, IsThatOfPythonsBytes) {
    EXPECT_EQ(counted("aaaa", "aa"), 2U);
    EXPECT_EQ(counted("aaaaa", "aa"), 2U);
    EXPECT_EQ(counted("", ""), 1U);
    EXPECT_EQ(counted("abc", ""), 4U);
    EXPECT_EQ(counted("", "a"), 0U);
    EXPECT_EQ(counted("abc", "abcd"), 0U);
    EXPECT_EQ(counted("abc", "abc"), 1U);
}

TEST(Count, AgreesWithTheSlowOneOnRandomText) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 20'000; ++round) {
        const std::string data = random_text(random, "ab", random() % 300);
        const std::string pattern = random_text(random, "ab", random() % 20);
        ASSERT_EQ(counted(data, pattern), slow_count(data, pattern)) << data << " " << pattern;
    }
}

TEST(Count, FindsMatchesAcrossItsStrides) {
    std::mt19937_64 random(2);
    for (const std::size_t length : {1U, 2U, 3U, 17U, 1000U, 70'000U}) {
        const std::string pattern = random_text(random, "xyz", length);
        std::string data;
        while (data.size() < 5'000'000) {
            data += pattern;
            data.append(random() % 40, 'x');
        }
        ASSERT_EQ(counted(data, pattern), slow_count(data, pattern)) << length;
    }
}

TEST(Count, StaysLinearOnDataMadeAgainstIt) {
    // Every place passes the filter and fails only in the middle of the pattern: 2^40 comparisons
    // without the budget, some seconds' worth of minutes.
    const std::string half(1 << 18, 'a');
    const std::string pattern = half + "b" + half;
    const std::string data(1 << 23, 'a');
    EXPECT_EQ(counted(data, pattern), 0U);
    EXPECT_EQ(counted(data + pattern + data + pattern, pattern), 2U);
}

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kShadowed = true;
#else
constexpr bool kShadowed = false;
#endif

TEST(Count, ReachesBeyondFourGibibytes) {
    if (kShadowed) GTEST_SKIP() << "a sanitizer's shadow of 4 GiB would be real memory";
    const std::size_t size = (std::size_t{4} << 30) + 100;
    const test::HugeZeros zeros(size);
    if (!zeros.mapped()) GTEST_SKIP() << "no address space for 4 GiB";
    zeros.bytes()[size - 1] = std::byte{'\n'};
    EXPECT_EQ(count_lines(zeros.bytes(), Stop()).value(), 1U);
    EXPECT_EQ(count(zeros.bytes(), bytes_of(std::string_view("\0\n", 2)), Stop()).value(), 1U);
    EXPECT_EQ(count(zeros.bytes(), bytes_of(std::string_view("\0", 1)), Stop()).value(), size - 1);
}

TEST(CountLines, GivesWhatIteratingOverAFileGives) {
    const auto lines = [](std::string_view data) {
        return count_lines(bytes_of(data), Stop()).value();
    };
    EXPECT_EQ(lines(""), 0U);
    EXPECT_EQ(lines("\n"), 1U);
    EXPECT_EQ(lines("a"), 1U);
    EXPECT_EQ(lines("a\n"), 1U);
    EXPECT_EQ(lines("a\nb"), 2U);
    EXPECT_EQ(lines("a\r\rb\r\n\n"), 2U);
    EXPECT_EQ(lines(std::string(3'000'001, '\n')), 3'000'001U);
}

TEST(CountWords, AgreesWithTheSlowOneOnEveryByte) {
    std::mt19937_64 random(3);
    for (int round = 0; round < 5'000; ++round) {
        std::string data(random() % 400, '\0');
        const std::uint64_t range = round % 2 == 0 ? 256 : 40;
        for (char& letter : data) letter = static_cast<char>(random() % range);
        ASSERT_EQ(count_words(bytes_of(data), Stop()).value(), slow_words(data));
    }
    const std::string large = random_text(random, " ab\t", 3'000'000);
    EXPECT_EQ(count_words(bytes_of(large), Stop()).value(), slow_words(large));
}

TEST(Text, StopsWhenAsked) {
    const std::atomic<bool> flag{true};
    const Stop stop(flag);
    const std::string data(100, 'a');
    EXPECT_EQ(count(bytes_of(data), bytes_of("a"), stop).error().kind, ErrorKind::stopped);
    EXPECT_EQ(count(bytes_of(data), bytes_of("ab"), stop).error().kind, ErrorKind::stopped);
    EXPECT_EQ(count_lines(bytes_of(data), stop).error().kind, ErrorKind::stopped);
    EXPECT_EQ(count_words(bytes_of(data), stop).error().kind, ErrorKind::stopped);
}

}  // namespace
}  // namespace gilpool::kernels
