// kernels/printable.hpp: any bytes in a message that is read as text. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace gilpool::kernels {

/// The bytes themselves where they are printable ASCII, else \x and two digits.
inline std::string printable(std::string_view bytes) {
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string text;
    for (const char byte : bytes) {
        const auto value = static_cast<unsigned char>(byte);
        if (value >= ' ' && value < 0x7F) {
            text += byte;
        } else {
            text.append("\\x").append(1, kHex[value >> 4]).append(1, kHex[value & 15]);
        }
    }
    return text;
}

}  // namespace gilpool::kernels
