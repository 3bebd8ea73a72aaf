// kernels/text.hpp: counts in bytes, equal to what Python's bytes methods give. Any thread.
#pragma once

#include <cstdint>

#include "kernels/bytes.hpp"
#include "kernels/result.hpp"
#include "kernels/stop.hpp"

namespace gilpool::kernels {

/// Non-overlapping occurrences of `pattern`, as `bytes.count`: an empty one is found before every
/// byte and at the end. Linear time, whatever the pattern.
Result<std::uint64_t> count(BytesView data, BytesView pattern, Stop stop) noexcept;

/// Lines as iterating over a binary file gives them: each ends at b"\n", and what follows the last
/// one is a line too unless it is empty. (`wc -l` does not count that one.)
Result<std::uint64_t> count_lines(BytesView data, Stop stop) noexcept;

/// Words as in `len(data.split())`: runs of anything but ASCII white space.
Result<std::uint64_t> count_words(BytesView data, Stop stop) noexcept;

}  // namespace gilpool::kernels
