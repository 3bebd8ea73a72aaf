// Base64 against rules written down one character at a time.
#include "kernels/base64.hpp"

#include <vector>

#include "fuzz/fuzz_input.hpp"

using namespace gilpool;

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/+/====\n";
const std::string_view fuzz_alphabet = kAlphabet;

namespace {

constexpr std::string_view kLetters = kAlphabet.substr(0, 64);

std::string slow_encode(std::string_view data) {
    std::string text;
    for (std::size_t at = 0; at < data.size(); at += 3) {
        std::uint32_t bits = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            bits =
                bits << 8 | (at + i < data.size() ? static_cast<unsigned char>(data[at + i]) : 0U);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            text += at + i > data.size() ? '=' : kLetters[(bits >> (18 - 6 * i)) & 63];
        }
    }
    return text;
}

/// Whether text is acceptable, and the bytes before the end or the mistake.
bool slow_decode(std::string_view text, kernels::Base64Rules rules, std::string& data) {
    const bool strict = rules == kernels::Base64Rules::strict;
    std::vector<std::size_t> group;
    std::size_t pads = 0;
    bool padded = false;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '=') {
            padded = true;
            if (strict && group.empty()) return false;
            if (group.size() >= 2) ++pads;
            if (rules != kernels::Base64Rules::goes_on && group.size() + pads == 4)
                return !strict || at + 1 == text.size();
            continue;
        }
        const std::size_t value = kLetters.find(text[at]);
        if (value == std::string_view::npos) {
            if (strict) return false;
            continue;
        }
        if (strict && padded) return false;
        pads = 0;
        group.push_back(value);
        const std::size_t n = group.size();
        if (n == 2) data += static_cast<char>(group[0] << 2 | group[1] >> 4);
        if (n == 3) data += static_cast<char>(group[1] << 4 | group[2] >> 2);
        if (n == 4) {
            data += static_cast<char>(group[2] << 6 | group[3]);
            group.clear();
        }
    }
    return group.empty() || (group.size() >= 2 && group.size() + pads >= 4);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    const std::string text = input.rest();
    const std::string expected = slow_encode(text);
    kernels::Bytes encoded(kernels::b64encoded_size(text.size()));
    FUZZ_CHECK(kernels::b64encode(fuzz::bytes_of(text), encoded, kernels::Stop()).value() ==
               expected.size());
    FUZZ_CHECK(encoded.size() == expected.size());
    FUZZ_CHECK(expected.empty() ||
               std::memcmp(encoded.data(), expected.data(), expected.size()) == 0);
    using enum kernels::Base64Rules;
    for (const kernels::Base64Rules rules : {strict, ends_at_padding, goes_on}) {
        std::string plain;
        const bool good = slow_decode(text, rules, plain);
        kernels::Bytes decoded(kernels::b64decoded_limit(text.size()));
        const auto written =
            kernels::b64decode(fuzz::bytes_of(text), rules, decoded, kernels::Stop());
        FUZZ_CHECK(written.ok() == good);
        if (!good) continue;
        FUZZ_CHECK(written.value() == plain.size());
        FUZZ_CHECK(plain.empty() || std::memcmp(decoded.data(), plain.data(), plain.size()) == 0);
    }
    return 0;
}
