// tests/cpp/fuzz/random_driver.cpp: calls a fuzz target with random bytes where there is no fuzzer:
// GILPOOL_FUZZ_CALLS times (1,000 unless told), the same ones in every run.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "fuzz/fuzz_input.hpp"

namespace {

std::vector<std::uint8_t> random_input(std::mt19937_64& random) {
    // Most are short, some are longer than the widest block; each prefers its own few characters.
    const std::size_t most = std::size_t{1} << (random() % 12);
    std::vector<std::uint8_t> input(random() % (most + 1));
    const std::uint64_t noise = random() % 4;
    const std::size_t letters = 1 + random() % fuzz_alphabet.size();
    const std::size_t first = random() % fuzz_alphabet.size();
    for (std::uint8_t& byte : input) {
        const bool any = noise == 3 || random() % 32 < noise;
        byte = any ? static_cast<std::uint8_t>(random())
                   : static_cast<std::uint8_t>(
                         fuzz_alphabet[(first + random() % letters) % fuzz_alphabet.size()]);
    }
    return input;
}

}  // namespace

int main() {
    const char* const asked = std::getenv("GILPOOL_FUZZ_CALLS");
    const unsigned long calls = asked == nullptr ? 1000 : std::strtoul(asked, nullptr, 10);
    std::mt19937_64 random(5);
    for (unsigned long call = 0; call < calls; ++call) {
        // A buffer of its own of the exact size, so that every byte beyond is out of bounds.
        const std::vector<std::uint8_t> input = random_input(random);
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    std::printf("%lu calls\n", calls);
    return 0;
}
