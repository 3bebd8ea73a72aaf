// kernels/demo.hpp: work for the experiment, tests and benchmarks: real, and of any length. Any
// thread.
#pragma once

#include <cstdint>

#include "kernels/matrix.hpp"
#include "kernels/result.hpp"
#include "kernels/stop.hpp"

namespace gilpool::kernels {

/// Computes for `ms` milliseconds of the thread's own CPU time, however many share the core.
Result<Done> busy(double ms, Stop stop) noexcept;

/// How many primes are below `n`, by a sieve in pieces that fit the cache.
Result<std::uint64_t> count_primes(std::uint64_t n, Stop stop) noexcept;

/// An estimate of pi from `samples` random points; the same for the same seed.
Result<double> monte_carlo_pi(std::uint64_t samples, std::uint64_t seed, Stop stop) noexcept;

/// The shape of mandelbrot's output; an error if a size is 0, or too large for any memory.
Result<Shape> mandelbrot_shape(std::uint64_t width, std::uint64_t height,
                               std::uint64_t max_iter) noexcept;

/// After how many steps z -> z*z + c leaves the circle of radius 2, for each point c of a picture
/// of [-2, 1] x [-1, 1]; `max_iter` for those that do not.
Result<Done> mandelbrot(std::uint64_t width, std::uint64_t height, std::uint64_t max_iter,
                        Matrix<std::int32_t> out, Stop stop) noexcept;

/// The shape of the product; an error if the factors do not fit or are empty.
Result<Shape> matmul_shape(Matrix<const double> a, Matrix<const double> b) noexcept;

/// out = a b. That `out` overlaps a or b is a value error.
Result<Done> matmul(Matrix<const double> a, Matrix<const double> b, Matrix<double> out,
                    Stop stop) noexcept;

}  // namespace gilpool::kernels
