// kernels/regex.cpp: RE2 on bytes, its matches strung together as Python does.
#include "kernels/regex.hpp"

#include <re2/re2.h>

#include <memory>
#include <string>

#include "kernels/guarded.hpp"
#include "kernels/printable.hpp"
#include "kernels/regex_syntax.hpp"

namespace gilpool::kernels {

namespace {

Result<std::unique_ptr<RE2>> compile(std::string_view pattern) {
    RE2::Options options(RE2::Latin1);  // each byte is a character, as in Python's bytes patterns
    options.set_max_mem(kRegexMemory);
    options.set_log_errors(false);
    const Result<std::string> translated = re2_pattern(pattern);
    if (!translated.ok()) return translated.error();
    auto regex = std::make_unique<RE2>(translated.value(), options);
    if (!regex->ok()) {
        std::string message = "invalid regular expression: " + printable(regex->error());
        return Error{ErrorKind::value, 0, std::move(message)};
    }
    return regex;
}

/// Calls `found(start, end)` for each match, in order.
template <class Found>
Result<Done> each_match(std::string_view pattern, BytesView data, Stop stop, Found found) {
    const Result<std::unique_ptr<RE2>> compiled = compile(pattern);
    if (!compiled.ok()) return compiled.error();
    const RE2& regex = *compiled.value();
    const char* const begin = data.empty() ? "" : reinterpret_cast<const char*>(data.data());
    const re2::StringPiece text(begin, data.size());
    re2::StringPiece match;
    for (std::size_t at = 0; at <= text.size();) {
        if (stop.requested()) return Error{ErrorKind::stopped};
        if (!regex.Match(text, at, text.size(), RE2::UNANCHORED, &match, 1)) break;
        const auto start = static_cast<std::size_t>(match.data() - begin);
        const std::size_t end = start + match.size();
        found(start, end);
        // An empty match may touch the one before it, but not be found twice.
        at = match.empty() ? end + 1 : end;
    }
    return Done{};
}

}  // namespace

Result<std::vector<std::int64_t>> find_all(std::string_view pattern, BytesView data,
                                           Stop stop) noexcept {
    return guarded([&]() -> Result<std::vector<std::int64_t>> {
        std::vector<std::int64_t> spans;
        const Result<Done> done =
            each_match(pattern, data, stop, [&](std::size_t start, std::size_t end) {
                spans.push_back(static_cast<std::int64_t>(start));
                spans.push_back(static_cast<std::int64_t>(end));
            });
        if (!done.ok()) return done.error();
        return spans;
    });
}

Result<std::uint64_t> count_matches(std::string_view pattern, BytesView data, Stop stop) noexcept {
    return guarded([&]() -> Result<std::uint64_t> {
        std::uint64_t matches = 0;
        const Result<Done> done =
            each_match(pattern, data, stop, [&](std::size_t, std::size_t) { ++matches; });
        if (!done.ok()) return done.error();
        return matches;
    });
}

}  // namespace gilpool::kernels
