// kernels/demo.cpp: a spin, a sieve, a fractal, random numbers and a matrix product.
#include "kernels/demo.hpp"

#include <time.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/bytes.hpp"
#include "kernels/guarded.hpp"

namespace gilpool::kernels {

namespace {

const Error kStopped{ErrorKind::stopped, 0, {}};

/// How long the calling thread has computed.
double thread_cpu_ms() {
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) * 1e-6;
}

/// A sum that no compiler can foresee, some microseconds long: reading the clock is a tenth of it.
double compute_a_little(double x) {
    for (int i = 0; i < 512; ++i) {
        x = x * 0.999999 + 1.0 / (x + 2.0);
    }
    return x;
}

/// xoshiro256**, which is fast and passes the usual tests of randomness.
class Random {
  public:
    explicit Random(std::uint64_t seed) {
        for (std::uint64_t& word : state_) {  // splitmix64, so that similar seeds differ at once
            seed += 0x9e3779b97f4a7c15;
            std::uint64_t mixed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9;
            mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
            word = mixed ^ (mixed >> 31);
        }
    }

    /// Evenly spread over [0, 1).
    double next() {
        const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
        const std::uint64_t shifted = state_[1] << 17;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= shifted;
        state_[3] = rotate(state_[3], 45);
        return static_cast<double>(result >> 11) * 0x1p-53;
    }

  private:
    static std::uint64_t rotate(std::uint64_t word, int by) {
        return word << by | word >> (64 - by);
    }
    std::uint64_t state_[4];
};

/// The odd primes up to `limit`.
std::vector<std::uint64_t> small_primes(std::uint64_t limit) {
    std::vector<bool> composite(limit + 1);
    std::vector<std::uint64_t> primes;
    for (std::uint64_t i = 3; i <= limit; i += 2) {
        if (composite[i]) {
            continue;
        }
        primes.push_back(i);
        for (std::uint64_t j = i * i; j <= limit; j += 2 * i) {
            composite[j] = true;
        }
    }
    return primes;
}

std::uint64_t square_root(std::uint64_t n) {
    auto root = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(n)));
    while (root > 0 && root > n / root) {
        --root;
    }
    while (root + 1 <= n / (root + 1)) {
        ++root;
    }
    return root;
}

std::int32_t escape_time(double real, double imaginary, std::int32_t most) {
    double x = 0;
    double y = 0;
    std::int32_t steps = 0;
    while (steps < most && x * x + y * y <= 4.0) {
        const double next = x * x - y * y + real;
        y = 2 * x * y + imaginary;
        x = next;
        ++steps;
    }
    return steps;
}

}  // namespace

Result<Done> busy(double ms, Stop stop) noexcept {
    constexpr double kYear = 366.0 * 86'400e3;
    if (!(ms >= 0 && ms <= kYear)) {
        return Error{ErrorKind::value, 0, "ms must be between 0 and the milliseconds of a year"};
    }
    const double end = thread_cpu_ms() + ms;
    volatile double sink = 1.0;
    while (thread_cpu_ms() < end) {
        if (stop.requested()) {
            return kStopped;
        }
        sink = compute_a_little(sink);
    }
    return Done{};
}

Result<std::uint64_t> count_primes(std::uint64_t n, Stop stop) noexcept {
    // Segments of odd numbers, one byte each, that stay in the first-level cache.
    constexpr std::uint64_t kOdds = 16 * 1024;
    constexpr std::uint64_t kMost = std::uint64_t{1} << 48;
    if (n > kMost) {
        return Error{ErrorKind::overflow, 0, "n is too large: at most 2**48"};
    }
    return guarded([&]() -> Result<std::uint64_t> {
        if (n <= 2) {
            return std::uint64_t{0};
        }
        const std::vector<std::uint64_t> primes = small_primes(square_root(n - 1));
        std::vector<std::uint64_t> next(primes.size());
        std::transform(primes.begin(), primes.end(), next.begin(),
                       [](std::uint64_t prime) { return prime * prime; });
        std::vector<char> composite(kOdds);
        std::uint64_t found = 1;  // 2
        for (std::uint64_t low = 3; low < n; low += 2 * kOdds) {
            if (stop.requested()) {
                return kStopped;
            }
            const std::uint64_t high = std::min(low + 2 * kOdds, n);  // exclusive
            const std::uint64_t odds = (high - low + 1) / 2;
            std::fill_n(composite.begin(), odds, char{0});
            for (std::size_t i = 0; i < primes.size() && primes[i] * primes[i] < high; ++i) {
                std::uint64_t multiple = next[i];
                for (; multiple < high; multiple += 2 * primes[i]) {
                    composite[(multiple - low) / 2] = 1;
                }
                next[i] = multiple;
            }
            found += static_cast<std::uint64_t>(std::count(
                composite.begin(), composite.begin() + static_cast<std::ptrdiff_t>(odds), char{0}));
        }
        return found;
    });
}

Result<double> monte_carlo_pi(std::uint64_t samples, std::uint64_t seed, Stop stop) noexcept {
    constexpr std::uint64_t kLookEvery = 100'000;
    if (samples == 0) {
        return Error{ErrorKind::value, 0, "samples must not be 0"};
    }
    Random random(seed);
    std::uint64_t inside = 0;
    for (std::uint64_t done = 0; done < samples;) {
        if (stop.requested()) {
            return kStopped;
        }
        const std::uint64_t until = done + std::min(kLookEvery, samples - done);
        for (; done < until; ++done) {
            const double x = random.next();
            const double y = random.next();
            inside += x * x + y * y < 1.0 ? 1 : 0;
        }
    }
    return 4.0 * static_cast<double>(inside) / static_cast<double>(samples);
}

Result<Shape> mandelbrot_shape(std::uint64_t width, std::uint64_t height,
                               std::uint64_t max_iter) noexcept {
    if (width == 0 || height == 0) {
        return Error{ErrorKind::value, 0, "width and height must not be 0"};
    }
    if (max_iter > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max())) {
        return Error{ErrorKind::overflow, 0, "max_iter is too large"};
    }
    return Shape{static_cast<std::size_t>(height), static_cast<std::size_t>(width)};
}

Result<Done> mandelbrot(std::uint64_t width, std::uint64_t height, std::uint64_t max_iter,
                        Matrix<std::int32_t> out, Stop stop) noexcept {
    constexpr std::uint64_t kLookEvery = 64;  // points; a point takes some ns a step
    const auto most = static_cast<std::int32_t>(max_iter);
    const double right = 3.0 / static_cast<double>(width);
    const double down = 2.0 / static_cast<double>(height);
    for (std::uint64_t y = 0; y < height; ++y) {
        for (std::uint64_t x = 0; x < width; ++x) {
            if (x % kLookEvery == 0 && stop.requested()) {
                return kStopped;
            }
            out.row(y)[x] = escape_time(-2.0 + right * (static_cast<double>(x) + 0.5),
                                        -1.0 + down * (static_cast<double>(y) + 0.5), most);
        }
    }
    return Done{};
}

Result<Shape> matmul_shape(Matrix<const double> a, Matrix<const double> b) noexcept {
    if (a.columns != b.rows) {
        return Error{ErrorKind::value, 0, "a must have as many columns as b has rows"};
    }
    if (a.values.empty() || b.values.empty()) {
        return Error{ErrorKind::value, 0, "a and b must not be empty"};
    }
    return Shape{a.rows, b.columns};
}

Result<Done> matmul(Matrix<const double> a, Matrix<const double> b, Matrix<double> out,
                    Stop stop) noexcept {
    // Blocks of b of 64 x 256 values (128 kB) stay in the second-level cache while all of a's rows
    // pass; the innermost loop runs along rows of b and out, which the compiler vectorises.
    constexpr std::size_t kDeep = 64;
    constexpr std::size_t kWide = 256;
    if (overlap(out.values, a.values) || overlap(out.values, b.values)) {
        return Error{ErrorKind::value, 0, "out must not overlap a or b"};
    }
    std::fill(out.values.begin(), out.values.end(), 0.0);
    for (std::size_t deep = 0; deep < a.columns; deep += kDeep) {
        const std::size_t deep_end = std::min(deep + kDeep, a.columns);
        for (std::size_t wide = 0; wide < b.columns; wide += kWide) {
            const std::size_t wide_end = std::min(wide + kWide, b.columns);
            for (std::size_t i = 0; i < a.rows; ++i) {
                if (stop.requested()) {
                    return kStopped;
                }
                double* const target = out.row(i);
                for (std::size_t k = deep; k < deep_end; ++k) {
                    const double factor = a.row(i)[k];
                    const double* const source = b.row(k);
                    for (std::size_t j = wide; j < wide_end; ++j) {
                        target[j] += factor * source[j];
                    }
                }
            }
        }
    }
    return Done{};
}

}  // namespace gilpool::kernels
