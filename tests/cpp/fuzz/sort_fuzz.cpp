// Sorting against std::stable_sort in numpy's order.
#include "kernels/sort.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "fuzz/fuzz_input.hpp"

using namespace gilpool;

const std::string_view fuzz_alphabet = std::string_view("\0\1\x7f\x80\xc0\xf0\xff", 7);

namespace {

template <class T>
bool before(T left, T right) {
    if constexpr (std::is_floating_point_v<T>) {
        if (std::isnan(right)) return !std::isnan(left);
    }
    return left < right;
}

template <class T>
void check(fuzz::FuzzInput& input) {
    std::vector<T> values;
    while (!input.empty()) values.push_back(input.number<T>());
    // Long enough for the other way of sorting, too.
    if (values.size() > 16) {
        while (values.size() < 600) values.push_back(values[values.size() - 16]);
    }
    std::vector<std::int64_t> expected(values.size());
    std::iota(expected.begin(), expected.end(), 0);
    const auto at = [&](std::int64_t place) { return values[static_cast<std::size_t>(place)]; };
    std::stable_sort(expected.begin(), expected.end(), [&](std::int64_t left, std::int64_t right) {
        return before(at(left), at(right));
    });
    std::vector<std::int64_t> order(values.size());
    FUZZ_CHECK(
        kernels::argsort(std::span<const T>(values), std::span(order), kernels::Stop()).ok());
    FUZZ_CHECK(order == expected);
    std::vector<T> sorted = values;
    FUZZ_CHECK(kernels::sort(std::span(sorted), kernels::Stop()).ok());
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        FUZZ_CHECK(!before(sorted[i], at(expected[i])) && !before(at(expected[i]), sorted[i]));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::FuzzInput input(data, size);
    switch (input.number<std::uint8_t>() % 4) {
        case 0:
            check<std::int32_t>(input);
            break;
        case 1:
            check<std::int64_t>(input);
            break;
        case 2:
            check<float>(input);
            break;
        default:
            check<double>(input);
    }
    return 0;
}
