// kernels/crc32c.hpp: the Castagnoli checksum (iSCSI, ext4, snappy, cloud storage). Any thread.
#pragma once

#include <cstdint>

#include "kernels/bytes.hpp"
#include "kernels/result.hpp"
#include "kernels/stop.hpp"

namespace gilpool::kernels {

/// CRC-32C of `data`; with the checksum of earlier bytes as `value`, that of all of them together.
/// Uses the processor's own instruction where there is one.
Result<std::uint32_t> crc32c(BytesView data, std::uint32_t value, Stop stop) noexcept;

/// The same by tables alone, as on processors without the instruction.
Result<std::uint32_t> crc32c_by_tables(BytesView data, std::uint32_t value, Stop stop) noexcept;

}  // namespace gilpool::kernels
