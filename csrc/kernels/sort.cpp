// kernels/sort.cpp: a radix sort by bytes, lowest first: in strides, so that a stop is heard, which
// std::sort cannot, and several times as fast; short input goes to std::sort.
#include "kernels/sort.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <type_traits>

#include "kernels/bytes.hpp"
#include "kernels/guarded.hpp"
#include "kernels/huge_pages.hpp"

namespace gilpool::kernels {

namespace {

/// Elements between two looks at the stop flag: some milliseconds of work.
constexpr std::size_t kStride = std::size_t{1} << 18;
/// Below this, counting bytes takes longer than comparing.
constexpr std::size_t kShort = 512;
constexpr std::size_t kBuckets = 256;

template <class T>
using KeyOf = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

/// An unsigned number that stands to others as `value` does; of floats, in the order of their bits
/// (-NaN, -inf ... -0.0, 0.0 ... inf, NaN).
template <class T>
KeyOf<T> key_of(T value) noexcept {
    using Key = KeyOf<T>;
    constexpr Key kSign = Key{1} << (8 * sizeof(Key) - 1);
    const Key bits = std::bit_cast<Key>(value);
    if constexpr (std::is_floating_point_v<T>) {
        return (bits & kSign) != 0 ? ~bits : bits | kSign;
    } else {
        return bits ^ kSign;
    }
}

/// The same, with one key for both zeros and one for every NaN.
template <class T>
KeyOf<T> comparing_key_of(T value) noexcept {
    if constexpr (std::is_floating_point_v<T>) {
        if (std::isnan(value)) return std::numeric_limits<KeyOf<T>>::max();
        return key_of(value + T{0});  // -0.0 + 0.0 is 0.0
    } else {
        return key_of(value);
    }
}

/// Calls `body(from, to)` for stride after stride of `size`; false when stopped.
template <class Body>
bool in_strides(std::size_t size, Stop stop, Body body) {
    for (std::size_t from = 0; from < size; from += kStride) {
        if (stop.requested()) return false;
        body(from, std::min(from + kStride, size));
    }
    return true;
}

template <class T>
std::unique_ptr<T[]> room_for(std::size_t size) {
    std::unique_ptr<T[]> room = std::make_unique_for_overwrite<T[]>(size);
    ask_for_huge_pages(room.get(), size * sizeof(T));
    return room;
}

/// Sorts `items` by `key`, stably, by way of `scratch`, which is as long. False when stopped; the
/// items are all there then, in some order.
template <class Item, class Key>
bool radix_sort(std::span<Item> items, Item* scratch, Key key, Stop stop) {
    constexpr std::size_t kBytes = sizeof(key(items[0]));
    std::array<std::array<std::size_t, kBuckets>, kBytes> counts{};
    if (!in_strides(items.size(), stop, [&](std::size_t from, std::size_t to) {
            for (std::size_t i = from; i < to; ++i) {
                auto bits = key(items[i]);
                for (auto& count : counts) {
                    ++count[bits & 0xFF];
                    bits >>= 8;
                }
            }
        })) {
        return false;
    }
    Item* source = items.data();
    Item* target = scratch;
    bool finished = true;
    for (std::size_t byte = 0; byte < kBytes && finished; ++byte) {
        std::array<std::size_t, kBuckets>& places = counts[byte];
        // Where all have the same byte there is nothing to do.
        if (*std::max_element(places.begin(), places.end()) == items.size()) continue;
        std::size_t place = 0;
        for (std::size_t& count : places) place += std::exchange(count, place);
        finished = in_strides(items.size(), stop, [&](std::size_t from, std::size_t to) {
            for (std::size_t i = from; i < to; ++i) {
                target[places[(key(source[i]) >> (8 * byte)) & 0xFF]++] = source[i];
            }
        });
        if (finished) std::swap(source, target);
    }
    // The last complete pass stands at the source.
    if (source != items.data()) std::copy_n(source, items.size(), items.data());
    return finished;
}

/// Moves every NaN to the end; how many others there are, or nothing when stopped.
template <class T>
Result<std::size_t> put_nan_last(std::span<T> values, Stop stop) {
    std::size_t kept = 0;
    if (!in_strides(values.size(), stop, [&](std::size_t from, std::size_t to) {
            for (std::size_t i = from; i < to; ++i) {
                if (std::isnan(values[i])) continue;
                if (i != kept) std::swap(values[i], values[kept]);
                ++kept;
            }
        })) {
        return Error{ErrorKind::stopped};
    }
    return kept;
}

template <class T>
bool in_order(std::span<const T> values) {
    return std::is_sorted(values.begin(), values.end(),
                          [](T left, T right) { return key_of(left) < key_of(right); });
}

/// Sorts places of values that were turned into keys.
template <class Index, class T>
Result<Done> order_by_key(std::span<const T> values, std::span<std::int64_t> order, Stop stop) {
    struct Entry {
        KeyOf<T> key;
        Index place;
    };
    const std::size_t size = values.size();
    const std::unique_ptr<Entry[]> entries = room_for<Entry>(size);
    if (!in_strides(size, stop, [&](std::size_t from, std::size_t to) {
            for (std::size_t i = from; i < to; ++i) {
                entries[i] = {comparing_key_of(values[i]), static_cast<Index>(i)};
            }
        })) {
        return Error{ErrorKind::stopped};
    }
    if (size < kShort) {
        std::sort(entries.get(), entries.get() + size, [](const Entry& left, const Entry& right) {
            return left.key != right.key ? left.key < right.key : left.place < right.place;
        });
    } else {
        const std::unique_ptr<Entry[]> scratch = room_for<Entry>(size);
        if (!radix_sort(
                std::span(entries.get(), size), scratch.get(),
                [](const Entry& entry) { return entry.key; }, stop)) {
            return Error{ErrorKind::stopped};
        }
    }
    if (!in_strides(size, stop, [&](std::size_t from, std::size_t to) {
            for (std::size_t i = from; i < to; ++i) {
                order[i] = static_cast<std::int64_t>(entries[i].place);
            }
        })) {
        return Error{ErrorKind::stopped};
    }
    return Done{};
}

}  // namespace

template <class T>
Result<Done> sort(std::span<T> values, Stop stop) noexcept {
    return guarded([&]() -> Result<Done> {
        if (stop.requested()) return Error{ErrorKind::stopped};
        if constexpr (std::is_floating_point_v<T>) {
            const Result<std::size_t> numbers = put_nan_last(values, stop);
            if (!numbers.ok()) return numbers.error();
            values = values.first(numbers.value());
        }
        if (values.size() < kShort) {
            std::sort(values.begin(), values.end(),
                      [](T left, T right) { return key_of(left) < key_of(right); });
            return Done{};
        }
        if (in_order(std::span<const T>(values))) return Done{};
        const std::unique_ptr<T[]> scratch = room_for<T>(values.size());
        if (!radix_sort(values, scratch.get(), key_of<T>, stop)) return Error{ErrorKind::stopped};
        return Done{};
    });
}

template <class T>
Result<Done> argsort(std::span<const T> values, std::span<std::int64_t> order, Stop stop) noexcept {
    return guarded([&]() -> Result<Done> {
        if (order.size() != values.size()) {
            return Error{ErrorKind::value, 0, "order must be as long as values"};
        }
        if (overlap(values, order)) {
            return Error{ErrorKind::value, 0, "out must not overlap values"};
        }
        if (stop.requested()) return Error{ErrorKind::stopped};
        // Small places make small entries, and those are what takes the time.
        const bool few = values.size() <= std::numeric_limits<std::uint32_t>::max();
        if (sizeof(T) == 4 && few) return order_by_key<std::uint32_t>(values, order, stop);
        return order_by_key<std::uint64_t>(values, order, stop);
    });
}

#define GILPOOL_SORT_OF(T)                                                                  \
    template Result<Done> sort(std::span<T> values, Stop stop) noexcept;                    \
    template Result<Done> argsort(std::span<const T> values, std::span<std::int64_t> order, \
                                  Stop stop) noexcept;
GILPOOL_SORT_OF(std::int32_t)
GILPOOL_SORT_OF(std::int64_t)
GILPOOL_SORT_OF(float)
GILPOOL_SORT_OF(double)
#undef GILPOOL_SORT_OF

}  // namespace gilpool::kernels
