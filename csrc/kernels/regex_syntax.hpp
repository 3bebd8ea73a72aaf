// kernels/regex_syntax.hpp: a pattern as Python's re reads it, said in RE2's words. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "kernels/result.hpp"

namespace gilpool::kernels {

/// The pattern that has RE2, each byte being a character, match what a bytes pattern of Python's re
/// does. The two read some of the same signs differently (\s, \Z, \1, {,n}, [[:x:]]); what has no
/// equal in RE2 (lookaround, backreferences, $ before a last newline ...) is a value error that
/// says so and where. Mistakes that both see in the same way are left to RE2.
Result<std::string> re2_pattern(std::string_view pattern);

}  // namespace gilpool::kernels
