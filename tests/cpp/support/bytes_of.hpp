// tests/cpp/support/bytes_of.hpp: text as bytes, and bytes as text.
#pragma once

#include <string>
#include <string_view>

#include "kernels/bytes.hpp"

namespace gilpool::test {

inline kernels::BytesView bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string text_of(kernels::BytesView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace gilpool::test
