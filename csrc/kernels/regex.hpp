// kernels/regex.hpp: every match of a regular expression in bytes, by RE2, in linear time. Any
// thread.
//
// Only where RE2 was found: GILPOOL_HAS_RE2 is 1 then.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/bytes.hpp"
#include "kernels/result.hpp"
#include "kernels/stop.hpp"

namespace gilpool::kernels {

/// Memory that one call may use for the automata of its pattern. Beyond it RE2 forgets states and
/// computes them anew, or goes on without them: slower, with the same result.
constexpr std::int64_t kRegexMemory = std::int64_t{64} << 20;

/// The matches that Python's `re.finditer` gives on bytes, as start, end, start, end ...
/// `pattern` is written as for Python's re and means the same (docs/regex-differences.md has the
/// exceptions); one that RE2 cannot run is a value error. A stop is heard between matches: the
/// search for the next one is indivisible.
Result<std::vector<std::int64_t>> find_all(std::string_view pattern, BytesView data,
                                           Stop stop) noexcept;

/// How many those are.
Result<std::uint64_t> count_matches(std::string_view pattern, BytesView data, Stop stop) noexcept;

}  // namespace gilpool::kernels
