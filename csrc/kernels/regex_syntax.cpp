// kernels/regex_syntax.cpp: one pass over the pattern, which keeps the flag of each open group.
#include "kernels/regex_syntax.hpp"

#include <charconv>
#include <optional>
#include <set>
#include <vector>

#include "kernels/printable.hpp"

namespace gilpool::kernels {

namespace {

bool is_digit(char letter) {
    return letter >= '0' && letter <= '9';
}
bool is_octal(char letter) {
    return letter >= '0' && letter <= '7';
}
bool is_letter(char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z');
}
bool is_one_of(char letter, std::string_view set) {
    return set.find(letter) != std::string_view::npos;
}

/// Thrown and caught inside this file alone.
struct Mistake {
    std::string text;
    std::size_t at;
};

class Translator {
  public:
    explicit Translator(std::string_view pattern) : pattern_(pattern) {}

    std::string run() {
        while (!ended()) step();
        return std::move(out_);
    }

  private:
    /// One element of a class: a byte, or a set like \d, in the form that RE2 takes within [].
    struct Element {
        std::optional<unsigned char> byte;
        std::string_view set;
    };

    bool ended() const { return at_ == pattern_.size(); }
    bool sees(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
    bool skip(std::string_view text) {
        if (!sees(text)) return false;
        at_ += text.size();
        return true;
    }
    [[noreturn]] static void fail(std::string text, std::size_t at) {
        throw Mistake{std::move(text), at};
    }

    void emit_byte(unsigned char byte) {
        constexpr std::string_view kHex = "0123456789abcdef";
        if (is_letter(static_cast<char>(byte)) || is_digit(static_cast<char>(byte))) {
            out_ += static_cast<char>(byte);
        } else {
            out_.append("\\x").append(1, kHex[byte >> 4]).append(1, kHex[byte & 15]);
        }
    }

    void step() {
        const std::size_t start = at_;
        const char letter = pattern_[at_++];
        switch (letter) {
            case '\\':
                return escape(start);
            case '[':
                return set(start);
            case '(':
                return group(start);
            case ')':
                if (!multiline_.empty()) multiline_.pop_back();
                out_ += letter;
                return;
            case '{':
                return repeat();
            case '$':
                if (!in_multiline()) {
                    fail(
                        "$ also means before a last newline, which RE2 cannot; write \\Z for the "
                        "end, (?m)$ for the end of a line",
                        start);
                }
                out_ += letter;
                return;
            case '.':
            case '^':
            case '|':
            case '*':
            case '+':
            case '?':
                out_ += letter;
                return;
            default:
                emit_byte(static_cast<unsigned char>(letter));
        }
    }

    void escape(std::size_t start) {
        if (ended()) fail("bad escape (end of pattern)", start);
        const char letter = pattern_[at_];
        if (is_one_of(letter, "AbBdDwW")) {
            out_.append("\\").append(1, letter);
            ++at_;
        } else if (skip("s")) {
            out_ += "[\\t-\\r ]";
        } else if (skip("S")) {
            out_ += "[^\\t-\\r ]";
        } else if (skip("Z")) {
            out_ += "\\z";
        } else if (letter >= '1' && letter <= '9' && !octal_of_three()) {
            fail("backreferences are not supported", start);
        } else {
            emit_byte(escaped_byte(start));
        }
    }

    /// \123, unlike \1 and \12, is a character and not a group.
    bool octal_of_three() const {
        const std::string_view digits = pattern_.substr(at_, 3);
        return digits.size() == 3 && is_octal(digits[0]) && is_octal(digits[1]) &&
               is_octal(digits[2]);
    }

    /// The byte of an escape that means one; the position is after the backslash.
    unsigned char escaped_byte(std::size_t start) {
        const char letter = pattern_[at_];
        if (is_octal(letter)) return number(start, 8, 3);
        ++at_;
        switch (letter) {
            case 'a':
                return '\a';
            case 'f':
                return '\f';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'v':
                return '\v';
            case 'x':
                return number(start, 16, 2);
            default:
                if (is_letter(letter) || is_digit(letter)) {
                    fail(std::string("bad escape \\") + letter, start);
                }
                return static_cast<unsigned char>(letter);
        }
    }

    unsigned char number(std::size_t start, int base, std::size_t most) {
        const std::string_view digits = pattern_.substr(at_, most);
        unsigned value = 0;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
        const auto length = static_cast<std::size_t>(end - digits.data());
        if (error != std::errc() || value > 255 || (base == 16 && length != most)) {
            fail("bad escape " + std::string(pattern_.substr(start, 2 + length)), start);
        }
        at_ += length;
        return static_cast<unsigned char>(value);
    }

    void set(std::size_t start) {
        out_ += '[';
        if (skip("^")) out_ += '^';
        bool first = true;
        while (first || !sees("]")) {
            if (ended()) fail("unterminated character set", start);
            const std::size_t range_start = at_;
            const Element low = element(start);
            first = false;
            if (sees("-") && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']') {
                ++at_;
                const Element high = element(start);
                if (!low.byte || !high.byte || *low.byte > *high.byte) {
                    fail("bad character range " +
                             std::string(pattern_.substr(range_start, at_ - range_start)),
                         range_start);
                }
                emit_byte(*low.byte);
                out_ += '-';
                emit_byte(*high.byte);
            } else if (low.byte) {
                emit_byte(*low.byte);
            } else {
                out_ += low.set;
            }
        }
        ++at_;
        out_ += ']';
    }

    Element element(std::size_t set_start) {
        const std::size_t start = at_;
        const char letter = pattern_[at_++];
        if (letter != '\\') return {static_cast<unsigned char>(letter), {}};
        if (ended()) fail("unterminated character set", set_start);
        if (skip("d")) return {std::nullopt, "\\d"};
        if (skip("D")) return {std::nullopt, "\\D"};
        if (skip("w")) return {std::nullopt, "\\w"};
        if (skip("W")) return {std::nullopt, "\\W"};
        if (skip("s")) return {std::nullopt, "\\t-\\r "};
        if (skip("S")) return {std::nullopt, "\\x00-\\x08\\x0e-\\x1f!-\\xff"};
        if (skip("b")) return {'\b', {}};
        return {escaped_byte(start), {}};
    }

    /// {2}, {2,}, {,3}, {2,3} repeat; a brace of any other kind is itself.
    void repeat() {
        const std::size_t close = pattern_.find_first_not_of("0123456789,", at_);
        const std::string_view inside = pattern_.substr(at_, close - at_);
        const std::size_t comma = inside.find(',');
        const bool counts = close != std::string_view::npos && pattern_[close] == '}' &&
                            !inside.empty() && comma == inside.rfind(',');
        if (!counts) return emit_byte('{');
        at_ = close + 1;
        out_ += '{';
        if (comma == 0) out_ += '0';
        out_.append(inside).append("}");
    }

    void group(std::size_t start) {
        const bool outside = in_multiline();
        if (!skip("?")) {
            multiline_.push_back(outside);
            out_ += '(';
        } else if (skip("#")) {
            const std::size_t close = pattern_.find(')', at_);
            if (close == std::string_view::npos) fail("missing ), unterminated comment", start);
            at_ = close + 1;
        } else if (skip("P<")) {
            multiline_.push_back(outside);
            name(start);
            out_ += '(';
        } else if (sees("=") || sees("!") || sees("<=") || sees("<!")) {
            fail("lookahead and lookbehind are not supported", start);
        } else if (sees("P=")) {
            fail("backreferences are not supported", start);
        } else if (sees("(")) {
            fail("conditional groups are not supported", start);
        } else if (sees(">")) {
            fail("atomic groups are not supported", start);
        } else {
            flags(start);
        }
    }

    /// Nobody asks for groups here, so a name is only judged.
    void name(std::size_t start) {
        const std::size_t close = pattern_.find('>', at_);
        if (close == std::string_view::npos) fail("missing >, unterminated name", start);
        std::string name(pattern_.substr(at_, close - at_));
        bool good = !name.empty() && !is_digit(name[0]);
        for (const char letter : name) {
            good = good && (is_letter(letter) || is_digit(letter) || letter == '_');
        }
        if (!good) fail("bad character in group name " + name, at_);
        if (!names_.insert(name).second) fail("redefinition of group name " + name, at_);
        at_ = close + 1;
    }

    void flags(std::size_t start) {
        std::string kept;
        bool multiline = in_multiline();
        bool removes = false;
        for (; !ended() && !is_one_of(pattern_[at_], ":)"); ++at_) {
            const char flag = pattern_[at_];
            if (flag == '-' && !removes) {
                removes = true;
                kept += flag;
            } else if (is_one_of(flag, "ims")) {
                if (flag == 'm') multiline = !removes;
                kept += flag;
            } else if (flag == 'a' && !removes) {
                continue;  // what bytes patterns are anyway
            } else {
                fail(is_one_of(flag, "xLu") ? std::string("flag not supported: ") + flag
                                            : "unknown extension ?" + std::string(1, flag),
                     start);
            }
        }
        if (ended()) fail("missing ), unterminated group", start);
        if (skip(":")) {
            multiline_.push_back(multiline);
            out_.append("(?").append(kept == "-" ? "" : kept).append(":");
            return;
        }
        if (removes || start != flags_end_) {
            fail(removes ? "missing :" : "global flags not at the start of the expression", start);
        }
        flags_end_ = ++at_;
        global_multiline_ = multiline;
        if (!kept.empty()) out_.append("(?").append(kept).append(")");
    }

    bool in_multiline() const { return multiline_.empty() ? global_multiline_ : multiline_.back(); }

    const std::string_view pattern_;
    std::size_t at_ = 0;
    std::string out_;
    std::set<std::string> names_;
    std::vector<bool> multiline_;  ///< of each open group
    bool global_multiline_ = false;
    std::size_t flags_end_ = 0;  ///< of the flags at the start
};

}  // namespace

Result<std::string> re2_pattern(std::string_view pattern) {
    try {
        return Translator(pattern).run();
    } catch (const Mistake& mistake) {
        return Error{ErrorKind::value, 0,
                     "invalid regular expression: " + printable(mistake.text) + " at position " +
                         std::to_string(mistake.at)};
    }
}

}  // namespace gilpool::kernels
