// tests/cpp/fuzz/fuzz_input.hpp: the arguments of a call, taken from the bytes of a fuzzer.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "kernels/bytes.hpp"

namespace gilpool::fuzz {

/// Ends the program if two ways of computing the same thing disagree.
#define FUZZ_CHECK(condition)                                                              \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            std::abort();                                                                  \
        }                                                                                  \
    } while (false)

/// Hands out the bytes from the front; zeros when there are no more.
class FuzzInput {
  public:
    FuzzInput(const std::uint8_t* data, std::size_t size)
        : rest_(reinterpret_cast<const char*>(data), size) {}

    template <class T>
    T number() {
        T value{};
        const std::size_t taken = std::min(sizeof value, rest_.size());
        if (taken != 0) std::memcpy(&value, rest_.data(), taken);
        rest_.remove_prefix(taken);
        return value;
    }

    /// A copy of at most `most` bytes, so that the sanitizer sees where it ends.
    std::string text(std::size_t most) {
        std::string taken(rest_.substr(0, most));
        rest_.remove_prefix(taken.size());
        return taken;
    }

    std::string rest() { return text(rest_.size()); }
    bool empty() const { return rest_.empty(); }

  private:
    std::string_view rest_;
};

inline kernels::BytesView bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace gilpool::fuzz

/// Characters that the target finds interesting; the random driver prefers them.
extern const std::string_view fuzz_alphabet;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
