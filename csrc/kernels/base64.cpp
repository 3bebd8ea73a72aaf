// kernels/base64.cpp: the rules around the blocks: padding, and characters that do not belong.
#include "kernels/base64.hpp"

#include <algorithm>
#include <string>

#include "kernels/base64_blocks.hpp"
#include "kernels/guarded.hpp"

namespace gilpool::kernels {

namespace {

/// Bytes (or characters) between two looks at the stop flag, 2 ms of work at most; whole groups.
constexpr std::size_t kStride = std::size_t{3} << 20;

const unsigned char* begin_of(BytesView data) noexcept {
    return reinterpret_cast<const unsigned char*>(data.data());
}

unsigned char* begin_of(std::span<std::byte> out) noexcept {
    return reinterpret_cast<unsigned char*>(out.data());
}

/// The one or two bytes that do not fill a group.
void encode_rest(const unsigned char* from, std::size_t size, unsigned char* to) noexcept {
    const unsigned bits = static_cast<unsigned>(from[0]) << 8 | (size == 2 ? from[1] : 0U);
    to[0] = static_cast<unsigned char>(base64::kAlphabet[bits >> 10]);
    to[1] = static_cast<unsigned char>(base64::kAlphabet[(bits >> 4) & 63]);
    to[2] = size == 2 ? static_cast<unsigned char>(base64::kAlphabet[(bits & 15) << 2]) : '=';
    to[3] = '=';
}

/// Reads characters as Python does: groups where nothing disturbs, one character at a time else.
class Decoder {
  public:
    Decoder(BytesView text, Base64Rules rules, std::span<std::byte> out) noexcept
        : next_(begin_of(text)),
          end_(next_ + text.size()),
          begin_(begin_of(out)),
          out_(begin_),
          validate_(rules == Base64Rules::strict),
          goes_on_(rules == Base64Rules::goes_on) {}

    Result<std::uint64_t> run(Stop stop) {
        if (validate_ && next_ != end_ && *next_ == '=')
            return wrong("Leading padding not allowed");
        const unsigned char* look = next_;
        while (next_ != end_ && (!complete_ || goes_on_)) {
            if (next_ >= look) {
                if (stop.requested()) return Error{ErrorKind::stopped};
                look = next_ + std::min(kStride, left());
            }
            if (position_ == 0) {
                const std::size_t taken =
                    base64::decode_groups(next_, std::min(kStride, left()), out_);
                next_ += taken;
                out_ += taken / 4 * 3;
                if (taken != 0) {
                    note_letter();
                    continue;
                }
            }
            if (const char* mistake = take(*next_++)) return wrong(mistake);
            if (validate_ && padded_ && position_ == 1) return finish();
        }
        return finish();
    }

  private:
    std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - next_); }

    static Error wrong(std::string message) {
        return Error{ErrorKind::malformed, 0, std::move(message)};
    }

    void note_letter() noexcept {
        pads_ = 0;
        complete_ = false;
    }

    /// What is wrong with this character, or null.
    const char* take(unsigned char letter) noexcept {
        if (letter == '=') return take_padding();
        const std::uint8_t value = base64::kValues[letter];
        if (value == base64::kInvalid) return validate_ ? "Only base64 data is allowed" : nullptr;
        if (validate_ && padded_) return "Discontinuous padding not allowed";
        note_letter();
        bits_ = bits_ << 6 | value;
        if (position_ != 0) {
            *out_++ = static_cast<unsigned char>(bits_ >> (6 - 2 * position_));
        }
        position_ = (position_ + 1) % 4;
        return nullptr;
    }

    const char* take_padding() noexcept {
        padded_ = true;
        if (validate_ && position_ == 0) return "Excess padding not allowed";
        if (position_ >= 2 && position_ + ++pads_ >= 4) {
            if (validate_ && next_ != end_) return wrong_after_padding(*next_);
            complete_ = true;
        }
        return nullptr;
    }

    static const char* wrong_after_padding(unsigned char letter) noexcept {
        if (letter == '=') return "Excess padding not allowed";
        return base64::kValues[letter] == base64::kInvalid ? "Only base64 data is allowed"
                                                           : "Excess data after padding";
    }

    Result<std::uint64_t> finish() const {
        const auto size = static_cast<std::uint64_t>(out_ - begin_);
        if (complete_ || position_ == 0) return size;
        if (position_ == 1) {
            return wrong("Invalid base64-encoded string: number of data characters (" +
                         std::to_string(size / 3 * 4 + 1) +
                         ") cannot be 1 more than a multiple of 4");
        }
        return wrong("Incorrect padding");
    }

    const unsigned char* next_;
    const unsigned char* const end_;
    unsigned char* const begin_;
    unsigned char* out_;
    const bool validate_;
    const bool goes_on_;     ///< after complete padding
    unsigned position_ = 0;  ///< in the group of four
    unsigned bits_ = 0;      ///< of the characters before, the last at the right
    unsigned pads_ = 0;      ///< since the last character
    bool padded_ = false;    ///< some padding was seen
    bool complete_ = false;  ///< the padding is complete
};

}  // namespace

Result<std::uint64_t> b64encode(BytesView data, std::span<std::byte> out, Stop stop) noexcept {
    const std::size_t whole = data.size() - data.size() % 3;
    for (std::size_t done = 0; done < whole; done += kStride) {
        if (stop.requested()) return Error{ErrorKind::stopped};
        base64::encode_groups(begin_of(data) + done, std::min(kStride, whole - done),
                              begin_of(out) + done / 3 * 4);
    }
    if (whole != data.size()) {
        encode_rest(begin_of(data) + whole, data.size() - whole, begin_of(out) + whole / 3 * 4);
    }
    return std::uint64_t{out.size()};
}

Result<std::uint64_t> b64decode(BytesView text, Base64Rules rules, std::span<std::byte> out,
                                Stop stop) noexcept {
    return guarded([&] { return Decoder(text, rules, out).run(stop); });
}

}  // namespace gilpool::kernels
