// Sorting against the standard library, with every sort of zero and NaN, and stopped at any moment.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "kernels/sort.hpp"

namespace gilpool::kernels {
namespace {

using Clock = std::chrono::steady_clock;

template <class T>
class Sorting : public testing::Test {};
using Types = testing::Types<std::int32_t, std::int64_t, float, double>;
TYPED_TEST_SUITE(Sorting, Types);

/// numpy's order: NaN after everything.
template <class T>
bool before(T left, T right) {
    if constexpr (std::is_floating_point_v<T>) {
        if (std::isnan(right)) return !std::isnan(left);
    }
    return left < right;
}

template <class T>
std::vector<T> random_values(std::mt19937_64& random, std::size_t size) {
    std::vector<T> values(size);
    const bool narrow = random() % 3 == 0;
    for (T& value : values) {
        const std::uint64_t bits = random();
        if (narrow) {
            value = static_cast<T>(static_cast<std::int64_t>(bits % 7) - 3);
        } else {
            std::memcpy(&value, &bits, sizeof value);  // all kinds: tiny, infinite, NaN
        }
        if (std::is_floating_point_v<T> && bits % 16 == 0) value = static_cast<T>(-0.0);
    }
    return values;
}

/// A number that depends on the bits there are and how often, and not on where they stand.
template <class T>
std::uint64_t content_of(const std::vector<T>& values) {
    std::uint64_t sum = 0;
    for (const T value : values) {
        std::uint64_t bits = 0;
        std::memcpy(&bits, &value, sizeof value);
        bits = (bits ^ (bits >> 31)) * 0x9E3779B97F4A7C15;
        sum += (bits ^ (bits >> 29)) * 0xBF58476D1CE4E5B9;
    }
    return sum;
}

TYPED_TEST(Sorting, PutsAnyNumbersInOrder) {
    using T = TypeParam;
    std::mt19937_64 random(1);
    for (int round = 0; round < 400; ++round) {
        const std::vector<T> values = random_values<T>(random, random() % 2000);
        std::vector<T> sorted = values;
        ASSERT_TRUE(sort(std::span(sorted), Stop()).ok());
        ASSERT_TRUE(std::is_sorted(sorted.begin(), sorted.end(), before<T>));
        ASSERT_EQ(content_of(sorted), content_of(values));
    }
}

TYPED_TEST(Sorting, OrdersPlacesStably) {
    using T = TypeParam;
    std::mt19937_64 random(2);
    for (int round = 0; round < 400; ++round) {
        const std::vector<T> values = random_values<T>(random, random() % 2000);
        std::vector<std::int64_t> order(values.size());
        ASSERT_TRUE(argsort(std::span<const T>(values), std::span(order), Stop()).ok());
        std::vector<std::int64_t> expected(values.size());
        std::iota(expected.begin(), expected.end(), 0);
        std::stable_sort(expected.begin(), expected.end(),
                         [&](std::int64_t left, std::int64_t right) {
                             return before(values[static_cast<std::size_t>(left)],
                                           values[static_cast<std::size_t>(right)]);
                         });
        ASSERT_EQ(order, expected);
    }
}

TYPED_TEST(Sorting, TakesExtremesAndWhatIsSortedAlready) {
    using T = TypeParam;
    using Limits = std::numeric_limits<T>;
    std::vector<T> values;
    for (int i = 0; i < 300; ++i) {
        for (const T value : {Limits::max(), Limits::lowest(), T{0}, T{-1}, Limits::min()}) {
            values.push_back(value);
        }
    }
    std::vector<T> expected = values;
    std::sort(expected.begin(), expected.end());
    for (int again = 0; again < 2; ++again) {
        ASSERT_TRUE(sort(std::span(values), Stop()).ok());
        EXPECT_EQ(values, expected);
    }
    std::reverse(values.begin(), values.end());
    ASSERT_TRUE(sort(std::span(values), Stop()).ok());
    EXPECT_EQ(values, expected);
    EXPECT_TRUE(sort(std::span<T>(), Stop()).ok());
    EXPECT_TRUE(argsort(std::span<const T>(), std::span<std::int64_t>(), Stop()).ok());
}

TYPED_TEST(Sorting, LosesNothingWhenStoppedAtAnyMoment) {
    using T = TypeParam;
    std::mt19937_64 random(3);
    const std::vector<T> values = random_values<T>(random, 1'000'000);
    for (int round = 0; round < 20; ++round) {
        std::vector<T> sorted = values;
        std::atomic<bool> flag{round == 0};
        std::thread stopper([&] {
            // Anywhere in the few milliseconds that it takes; an early or late one does no harm.
            const auto moment = Clock::now() + round * std::chrono::microseconds(500);
            while (Clock::now() < moment) {
            }
            flag.store(true);
        });
        const Result<Done> done = sort(std::span(sorted), Stop(flag));
        stopper.join();
        EXPECT_TRUE(done.ok() || done.error().kind == ErrorKind::stopped);
        EXPECT_FALSE(done.ok() && round == 0);
        ASSERT_EQ(content_of(sorted), content_of(values));
    }
}

TEST(Sort, RefusesAnOrderOfAnotherLength) {
    const std::vector<double> values(3);
    std::vector<std::int64_t> order(2);
    EXPECT_EQ(argsort(std::span<const double>(values), std::span(order), Stop()).error().kind,
              ErrorKind::value);
}

TEST(Sort, PutsNegativeZeroBeforeZero) {
    std::vector<double> values(1000, 0.0);
    for (std::size_t i = 0; i < values.size(); i += 2) values[i] = -0.0;
    ASSERT_TRUE(sort(std::span(values), Stop()).ok());
    EXPECT_TRUE(std::signbit(values[499]));
    EXPECT_FALSE(std::signbit(values[500]));
}

}  // namespace
}  // namespace gilpool::kernels
