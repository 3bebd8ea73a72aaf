// Any pattern on any bytes: matches lie in order and within, and are those of plain search where
// the pattern is plain.
#include "kernels/regex.hpp"

#include "fuzz/fuzz_input.hpp"
#include "kernels/text.hpp"

using namespace gilpool;

const std::string_view fuzz_alphabet = "ab\\()[]{}|*+?.^$-:,<>=!#1239PimsxdwsSZbBA\n\xe9";

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    const std::string pattern = input.text(input.number<std::uint8_t>() % 48);
    const std::string text = input.rest();
    const auto bytes = fuzz::bytes_of(text);
    const kernels::Stop stop;
    const auto found = kernels::find_all(pattern, bytes, stop);
    const auto counted = kernels::count_matches(pattern, bytes, stop);
    FUZZ_CHECK(found.ok() == counted.ok());
    const bool plain = pattern.find_first_of("\\()[]{}|*+?.^$") == std::string::npos;
    if (!found.ok()) {
        FUZZ_CHECK(!plain && found.error().kind == kernels::ErrorKind::value);
        return 0;
    }
    const auto& spans = found.value();
    FUZZ_CHECK(spans.size() == 2 * counted.value());
    std::int64_t before_start = -1;
    std::int64_t before_end = 0;
    for (std::size_t i = 0; i < spans.size(); i += 2) {
        FUZZ_CHECK(spans[i] >= before_end && spans[i] > before_start && spans[i + 1] >= spans[i]);
        before_start = spans[i];
        before_end = spans[i + 1];
    }
    FUZZ_CHECK(before_end <= static_cast<std::int64_t>(text.size()));
    if (plain) {
        FUZZ_CHECK(counted.value() == kernels::count(bytes, fuzz::bytes_of(pattern), stop).value());
    }
    return 0;
}
