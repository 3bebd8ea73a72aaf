// The kernels of the experiment: known results, refused arguments, and stops that are heard.
#include "kernels/demo.hpp"

#include <gtest/gtest.h>

#include <time.h>

#include <atomic>
#include <limits>
#include <utility>
#include <vector>

namespace gilpool::kernels {
namespace {

double thread_cpu_ms() {
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return static_cast<double>(used.tv_sec) * 1e3 + static_cast<double>(used.tv_nsec) * 1e-6;
}

TEST(Busy, burns_as_much_cpu_time_as_asked_for) {
    const double before = thread_cpu_ms();
    EXPECT_TRUE(busy(20, Stop()).ok());
    EXPECT_GE(thread_cpu_ms() - before, 20);
}

TEST(Busy, refuses_what_is_no_length_of_time) {
    for (const double ms : {-1.0, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
        const auto result = busy(ms, Stop());
        ASSERT_FALSE(result.ok());
        EXPECT_EQ(result.error().kind, ErrorKind::value);
    }
}

TEST(CountPrimes, agrees_with_the_tables) {
    const std::pair<std::uint64_t, std::uint64_t> known[] = {
        {0, 0},  {2, 0},    {3, 1},         {4, 2},         {10, 4},        {11, 4},
        {12, 5}, {100, 25}, {32'768, 3512}, {32'772, 3513}, {65'538, 6543}, {1'000'000, 78'498}};
    for (const auto& [n, count] : known) {
        EXPECT_EQ(count_primes(n, Stop()).value(), count) << n;
    }
    EXPECT_EQ(count_primes(~std::uint64_t{0}, Stop()).error().kind, ErrorKind::overflow);
}

TEST(Matmul, multiplies_shapes_that_cross_the_blocks) {
    constexpr std::size_t kRows = 3;
    constexpr std::size_t kDeep = 70;
    constexpr std::size_t kWide = 300;
    std::vector<double> a(kRows * kDeep);
    std::vector<double> b(kDeep * kWide);
    for (std::size_t i = 0; i < a.size(); ++i) {
        a[i] = static_cast<double>(i % 7);
    }
    for (std::size_t i = 0; i < b.size(); ++i) {
        b[i] = static_cast<double>(i % 5);
    }
    std::vector<double> out(kRows * kWide, -1.0);
    const Matrix<const double> left{a, kRows, kDeep};
    const Matrix<const double> right{b, kDeep, kWide};
    ASSERT_TRUE(matmul(left, right, {out, kRows, kWide}, Stop()).ok());
    for (std::size_t i = 0; i < kRows; ++i) {
        for (std::size_t j = 0; j < kWide; ++j) {
            double sum = 0;
            for (std::size_t k = 0; k < kDeep; ++k) {
                sum += a[i * kDeep + k] * b[k * kWide + j];
            }
            EXPECT_EQ(out[i * kWide + j], sum) << i << ", " << j;
        }
    }
}

TEST(Shapes, are_refused_before_any_work) {
    const std::vector<double> six(6);
    EXPECT_FALSE(matmul_shape({six, 2, 3}, {six, 2, 3}).ok());
    EXPECT_FALSE(matmul_shape({{}, 0, 3}, {six, 3, 2}).ok());
    EXPECT_EQ(matmul_shape({six, 2, 3}, {six, 3, 2}).value().columns, 2U);
    EXPECT_FALSE(mandelbrot_shape(0, 1, 1).ok());
    EXPECT_FALSE(mandelbrot_shape(1, 1, std::uint64_t{1} << 31).ok());
}

TEST(DemoKernels, hear_a_stop_soon) {
    const std::atomic<bool> raised{true};
    const Stop stop(raised);
    std::vector<std::int32_t> picture(64 * 64);
    const std::vector<double> numbers(64 * 64);
    std::vector<double> product(64 * 64);
    EXPECT_EQ(busy(60'000, stop).error().kind, ErrorKind::stopped);
    EXPECT_EQ(count_primes(std::uint64_t{1} << 40, stop).error().kind, ErrorKind::stopped);
    EXPECT_EQ(monte_carlo_pi(std::uint64_t{1} << 40, 1, stop).error().kind, ErrorKind::stopped);
    EXPECT_EQ(mandelbrot(64, 64, 1'000'000'000, {picture, 64, 64}, stop).error().kind,
              ErrorKind::stopped);
    EXPECT_EQ(matmul({numbers, 64, 64}, {numbers, 64, 64}, {product, 64, 64}, stop).error().kind,
              ErrorKind::stopped);
}

}  // namespace
}  // namespace gilpool::kernels
