// CRC-32C bit by bit, by tables, by the processor, and in two pieces.
#include "kernels/crc32c.hpp"

#include "fuzz/fuzz_input.hpp"

using namespace gilpool;

const std::string_view fuzz_alphabet = std::string_view("\0\1\x80\xff", 4);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    const auto value = input.number<std::uint32_t>();
    const std::size_t cut = input.number<std::uint16_t>();
    const std::string text = input.rest();
    std::uint32_t expected = ~value;
    for (const char byte : text) {
        expected ^= static_cast<unsigned char>(byte);
        for (int bit = 0; bit < 8; ++bit) {
            expected = (expected >> 1) ^ ((expected & 1) != 0 ? 0x82F63B78U : 0U);
        }
    }
    expected = ~expected;
    const auto bytes = fuzz::bytes_of(text);
    const kernels::Stop stop;
    FUZZ_CHECK(kernels::crc32c(bytes, value, stop).value() == expected);
    FUZZ_CHECK(kernels::crc32c_by_tables(bytes, value, stop).value() == expected);
    const std::size_t first = std::min(cut, text.size());
    const std::uint32_t half = kernels::crc32c(bytes.first(first), value, stop).value();
    FUZZ_CHECK(kernels::crc32c(bytes.subspan(first), half, stop).value() == expected);
    return 0;
}
