// Counts in bytes against std::string's search and one pass of a state machine.
#include "kernels/text.hpp"

#include "fuzz/fuzz_input.hpp"

using namespace gilpool;

const std::string_view fuzz_alphabet = "ab \n\t\r\v\f\x1c\x85";

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    const std::string pattern = input.text(input.number<std::uint8_t>() % 24);
    const std::string text = input.rest();
    const auto bytes = fuzz::bytes_of(text);

    std::uint64_t matches = pattern.empty() ? text.size() + 1 : 0;
    for (std::size_t at = 0; !pattern.empty();) {
        at = text.find(pattern, at);
        if (at == std::string::npos) break;
        ++matches;
        at += pattern.size();
    }
    FUZZ_CHECK(kernels::count(bytes, fuzz::bytes_of(pattern), kernels::Stop()).value() == matches);

    std::uint64_t lines = 0;
    std::uint64_t words = 0;
    bool in_word = false;
    for (const char letter : text) {
        const bool space = letter == ' ' || (letter >= '\t' && letter <= '\r');
        lines += letter == '\n' ? 1 : 0;
        words += !space && !in_word ? 1 : 0;
        in_word = !space;
    }
    if (!text.empty() && text.back() != '\n') ++lines;
    FUZZ_CHECK(kernels::count_lines(bytes, kernels::Stop()).value() == lines);
    FUZZ_CHECK(kernels::count_words(bytes, kernels::Stop()).value() == words);
    return 0;
}
