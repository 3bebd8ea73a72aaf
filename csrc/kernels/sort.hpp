// kernels/sort.hpp: numbers put in order, or the order they would have. Any thread.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/result.hpp"
#include "kernels/stop.hpp"

namespace gilpool::kernels {

/// Sorts in place, ascending. NaN comes last, as in numpy, and -0.0 before 0.0. Needs as much
/// memory again. A stop leaves the same numbers in some order.
///
/// T is std::int32_t, std::int64_t, float or double.
template <class T>
Result<Done> sort(std::span<T> values, Stop stop) noexcept;

/// Writes to `order`, which is as long, the places of `values` in ascending order of what is there,
/// equal ones (-0.0 and 0.0, and all NaN) in order of place, as a stable argsort of numpy does.
/// Another length, or memory of `values`, is a value error. Needs 16 bytes of memory for
/// each value of four bytes, 32 for each of eight. A stop leaves `order` in any state.
template <class T>
Result<Done> argsort(std::span<const T> values, std::span<std::int64_t> order, Stop stop) noexcept;

#define GILPOOL_SORT_OF(T)                                                                         \
    extern template Result<Done> sort(std::span<T> values, Stop stop) noexcept;                    \
    extern template Result<Done> argsort(std::span<const T> values, std::span<std::int64_t> order, \
                                         Stop stop) noexcept;
GILPOOL_SORT_OF(std::int32_t)
GILPOOL_SORT_OF(std::int64_t)
GILPOOL_SORT_OF(float)
GILPOOL_SORT_OF(double)
#undef GILPOOL_SORT_OF

}  // namespace gilpool::kernels
