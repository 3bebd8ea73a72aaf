// Base64 against published values, Python's judgement of bad text, and its own portable loops.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "kernels/base64.hpp"
#include "kernels/base64_blocks.hpp"
#include "support/bytes_of.hpp"

namespace gilpool::kernels {
namespace {

using test::bytes_of;
using test::text_of;

std::string encoded(std::string_view data) {
    Bytes text(b64encoded_size(data.size()));
    EXPECT_EQ(b64encode(bytes_of(data), text, Stop()).value(), text.size());
    return text_of(text);
}

std::string decoded(std::string_view text, Base64Rules rules = Base64Rules::ends_at_padding) {
    Bytes data(b64decoded_limit(text.size()));
    const Result<std::uint64_t> size = b64decode(bytes_of(text), rules, data, Stop());
    if (!size.ok()) {
        EXPECT_EQ(size.error().kind, ErrorKind::malformed);
        return "error: " + size.error().message;
    }
    data.resize(size.value());
    return text_of(data);
}

std::string random_bytes(std::mt19937_64& random, std::size_t size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    return bytes;
}

TEST(Base64, HasTheValuesOfRfc4648) {
    const std::pair<const char*, const char*> values[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (const auto& [data, text] : values) {
        EXPECT_EQ(encoded(data), text);
        EXPECT_EQ(decoded(text), data);
        EXPECT_EQ(decoded(text, Base64Rules::strict), data);
    }
}

TEST(Base64, ComesBackFromEveryLengthAndAlignment) {
    std::mt19937_64 random(1);
    for (std::size_t size = 0; size < 400; ++size) {
        const std::string data = random_bytes(random, size);
        const std::string text = encoded(data);
        ASSERT_EQ(text.size(), b64encoded_size(size));
        ASSERT_EQ(decoded(text), data);
        ASSERT_EQ(decoded(text, Base64Rules::strict), data);
        ASSERT_EQ(decoded(" " + text), data);
    }
    const std::string large = random_bytes(random, 10'000'001);
    EXPECT_EQ(decoded(encoded(large), Base64Rules::strict), large);
}

TEST(Base64, HasPortableLoopsThatAgree) {
    std::mt19937_64 random(2);
    for (std::size_t size = 0; size < 300; ++size) {
        const std::string data = random_bytes(random, size / 3 * 3);
        const auto* const bytes = reinterpret_cast<const unsigned char*>(data.data());
        std::string text(data.size() / 3 * 4, '\0');
        base64::encode_groups_portably(bytes, data.size(),
                                       reinterpret_cast<unsigned char*>(text.data()));
        ASSERT_EQ(text, encoded(data));
        std::string broken = text;
        if (!broken.empty()) broken[random() % broken.size()] = static_cast<char>(random());
        std::string first(data.size(), '\0');
        std::string second(data.size(), '\0');
        const auto* const letters = reinterpret_cast<const unsigned char*>(broken.data());
        const std::size_t taken = base64::decode_groups_portably(
            letters, broken.size(), reinterpret_cast<unsigned char*>(first.data()));
        ASSERT_EQ(base64::decode_groups(letters, broken.size(),
                                        reinterpret_cast<unsigned char*>(second.data())),
                  taken);
        ASSERT_EQ(first.substr(0, taken / 4 * 3), second.substr(0, taken / 4 * 3));
    }
}

TEST(Base64, TakesEveryCharacterForWhatItIs) {
    // At each place of the wide blocks, each byte is taken or refused as the alphabet says.
    const std::string good(64, 'Q');
    for (int byte = 0; byte < 256; ++byte) {
        const bool valid = base64::kValues[static_cast<std::size_t>(byte)] != base64::kInvalid;
        for (const std::size_t place : {0U, 13U, 31U, 32U, 63U}) {
            std::string text = good;
            text[place] = static_cast<char>(byte);
            const auto* const letters = reinterpret_cast<const unsigned char*>(text.data());
            unsigned char out[48];
            ASSERT_EQ(base64::decode_groups(letters, text.size(), out),
                      valid ? text.size() : place / 4 * 4)
                << byte;
            if (valid) {
                ASSERT_EQ(encoded(decoded(text)), text);
            }
        }
    }
}

TEST(Base64, PassesOverWhatDoesNotBelong) {
    EXPECT_EQ(decoded("Zm9v\nYmFy\r\n"), "foobar");
    EXPECT_EQ(decoded("Z!m@9#v"), "foo");
    EXPECT_EQ(decoded("Zm8=Zm9v"), "fo");
    EXPECT_EQ(decoded("Zm8=!!!"), "fo");
    EXPECT_EQ(decoded("Zg==Zg=="), "f");
    EXPECT_EQ(decoded("====Zm9v===="), "foo");
    EXPECT_EQ(decoded("Z=m=9v"), "foo");
    EXPECT_EQ(decoded("Z=m9v"), "foo");
    std::mt19937_64 random(3);
    const std::string data = random_bytes(random, 100'000);
    std::string lines;
    const std::string text = encoded(data);
    for (std::size_t at = 0; at < text.size(); at += 76) lines += text.substr(at, 76) + "\n";
    EXPECT_EQ(decoded(lines), data);
}

TEST(Base64, ReadsWhatFollowsPaddingIfToldTo) {
    constexpr Base64Rules kGoesOn = Base64Rules::goes_on;
    EXPECT_EQ(decoded("Zm9v\nYmFy\r\n", kGoesOn), "foobar");
    EXPECT_EQ(decoded("Zg==", kGoesOn), "f");
    EXPECT_EQ(decoded("Zg==!==\n", kGoesOn), "f");
    EXPECT_EQ(decoded("====Zm9v====", kGoesOn), "foo");
    EXPECT_EQ(decoded("Zg==Zg==", kGoesOn), "f\x06`");
    EXPECT_EQ(decoded("Zg=Zg==", kGoesOn), "f\x06`");
    EXPECT_EQ(decoded("Zm9=vZm9vZm8=", kGoesOn), "foofoofo");
    EXPECT_EQ(decoded("Zm8=Zm9v", kGoesOn), "error: Incorrect padding");
    EXPECT_EQ(decoded("Zm8=Zm9vYQ==", kGoesOn),
              "error: Invalid base64-encoded string: number of data characters (9) "
              "cannot be 1 more than a multiple of 4");
}

TEST(Base64, SaysWhatPythonSays) {
    EXPECT_EQ(decoded("Z"),
              "error: Invalid base64-encoded string: number of data characters (1) "
              "cannot be 1 more than a multiple of 4");
    EXPECT_EQ(decoded("Zm9vY"),
              "error: Invalid base64-encoded string: number of data characters "
              "(5) cannot be 1 more than a multiple of 4");
    EXPECT_EQ(decoded("Zm8"), "error: Incorrect padding");
    EXPECT_EQ(decoded("Zg="), "error: Incorrect padding");
    EXPECT_EQ(decoded("=Zg=", Base64Rules::strict), "error: Leading padding not allowed");
    EXPECT_EQ(decoded("Zm9v\n", Base64Rules::strict), "error: Only base64 data is allowed");
    EXPECT_EQ(decoded("Zm9v=", Base64Rules::strict), "error: Excess padding not allowed");
    EXPECT_EQ(decoded("Zg=v", Base64Rules::strict), "error: Discontinuous padding not allowed");
    EXPECT_EQ(decoded("Zg===", Base64Rules::strict), "error: Excess padding not allowed");
    EXPECT_EQ(decoded("Zg==\n", Base64Rules::strict), "error: Only base64 data is allowed");
    EXPECT_EQ(decoded("Zm9vY=mF", Base64Rules::strict),
              "error: Invalid base64-encoded string: number of data characters (5) "
              "cannot be 1 more than a multiple of 4");
    EXPECT_EQ(decoded("Zm8=Zm9v", Base64Rules::strict), "error: Excess data after padding");
}

TEST(Base64, StopsWhenAsked) {
    const std::atomic<bool> flag{true};
    Bytes out(4);
    EXPECT_EQ(b64encode(bytes_of("foo"), out, Stop(flag)).error().kind, ErrorKind::stopped);
    EXPECT_EQ(b64decode(bytes_of("Zm9v"), Base64Rules::strict, out, Stop(flag)).error().kind,
              ErrorKind::stopped);
}

}  // namespace
}  // namespace gilpool::kernels
