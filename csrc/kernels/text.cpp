// kernels/text.cpp: scans sixteen bytes at a time with the compiler's portable vectors.
#include "kernels/text.hpp"

#include <string.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace gilpool::kernels {

namespace {

/// Bytes between two looks at the stop flag: 1 ms of work at most.
constexpr std::size_t kStride = std::size_t{1} << 20;

using Lanes [[gnu::vector_size(16)]] = unsigned char;
using Words [[gnu::vector_size(16)]] = std::uint64_t;
constexpr std::size_t kLanes = 16;

Lanes load(const unsigned char* from) noexcept {
    Lanes lanes;
    std::memcpy(&lanes, from, sizeof lanes);
    return lanes;
}

Lanes all_of(unsigned char value) noexcept {
    return Lanes{} + value;
}

const unsigned char* begin_of(BytesView data) noexcept {
    return reinterpret_cast<const unsigned char*>(data.data());
}

std::uint64_t sum(Lanes counters) noexcept {
    std::uint64_t total = 0;
    for (std::size_t lane = 0; lane < kLanes; ++lane) total += counters[lane];
    return total;
}

/// How many places in [from, from + size) hit. `hits(p)` yields 0xFF in each lane of the sixteen
/// places from p on that does; `hit(p)` judges one place.
template <class Hits, class Hit>
std::uint64_t count_places(const unsigned char* from, std::size_t size, Hits hits,
                           Hit hit) noexcept {
    // A lane counts in a byte, so it is emptied after 255 rounds at the latest.
    constexpr std::size_t kRounds = 255;
    std::uint64_t total = 0;
    const unsigned char* const end = from + size;
    while (end - from >= static_cast<std::ptrdiff_t>(4 * kLanes)) {
        const std::size_t rounds =
            std::min(kRounds, static_cast<std::size_t>(end - from) / (4 * kLanes));
        Lanes counters[4] = {};
        for (std::size_t round = 0; round < rounds; ++round, from += 4 * kLanes) {
            counters[0] -= hits(from);
            counters[1] -= hits(from + kLanes);
            counters[2] -= hits(from + 2 * kLanes);
            counters[3] -= hits(from + 3 * kLanes);
        }
        for (const Lanes& lanes : counters) total += sum(lanes);
    }
    for (; from != end; ++from) total += hit(from) ? 1 : 0;
    return total;
}

std::uint64_t count_byte(const unsigned char* from, std::size_t size,
                         unsigned char wanted) noexcept {
    const Lanes wanted_lanes = all_of(wanted);
    return count_places(
        from, size,
        [&](const unsigned char* p) { return reinterpret_cast<Lanes>(load(p) == wanted_lanes); },
        [&](const unsigned char* p) { return *p == wanted; });
}

Result<std::uint64_t> count_bytes(BytesView data, unsigned char wanted, Stop stop) noexcept {
    std::uint64_t total = 0;
    for (std::size_t done = 0; done < data.size(); done += kStride) {
        if (stop.requested()) return Error{ErrorKind::stopped};
        total += count_byte(begin_of(data) + done, std::min(kStride, data.size() - done), wanted);
    }
    return total;
}

bool is_space(unsigned char byte) noexcept {
    return byte == ' ' || static_cast<unsigned char>(byte - '\t') <= '\r' - '\t';
}

Lanes spaces(Lanes lanes) noexcept {
    return reinterpret_cast<Lanes>(lanes == all_of(' ')) |
           reinterpret_cast<Lanes>((lanes - all_of('\t')) <= all_of('\r' - '\t'));
}

/// Finds a pattern of two bytes or more: blocks in which its first and its last byte stand at the
/// right distance are compared in full. That is quickest by far on ordinary data, and quadratic on
/// data made for it, so the comparisons are on a budget, and memmem, which is linear, takes over.
class Finder {
  public:
    Finder(BytesView data, BytesView pattern) noexcept
        : next_(begin_of(data)),
          last_(next_ + (data.size() - pattern.size())),
          end_(next_ + data.size()),
          pattern_(begin_of(pattern)),
          length_(pattern.size()) {}

    bool done() const noexcept { return next_ > last_; }

    /// Matches that start among the next `places` places.
    std::uint64_t count_some(std::size_t places) noexcept {
        const auto left = static_cast<std::size_t>(last_ - next_) + 1;
        const unsigned char* const until = next_ + std::min(places, left);
        budget_ += kBudget * places;
        const std::uint64_t filtered = filter(until);
        return filtered + search(until);
    }

  private:
    /// Bytes of comparison allowed for each byte of data.
    static constexpr std::size_t kBudget = 4;

    /// Looks at whole blocks before `until`, as long as the budget lasts.
    std::uint64_t filter(const unsigned char* until) noexcept {
        std::uint64_t matches = 0;
        if constexpr (std::endian::native == std::endian::little) {
            const Lanes first = all_of(pattern_[0]);
            const Lanes last = all_of(pattern_[length_ - 1]);
            const unsigned char* block = next_;
            for (; until - block >= static_cast<std::ptrdiff_t>(kLanes) && budget_ >= length_;
                 block += kLanes) {
                const auto candidates = reinterpret_cast<Words>(
                    (load(block) == first) & (load(block + length_ - 1) == last));
                if ((candidates[0] | candidates[1]) == 0) continue;
                matches += compare(block, candidates[0]) + compare(block + 8, candidates[1]);
            }
            next_ = std::max(next_, block);
        }
        return matches;
    }

    /// Judges eight places from `from` on of which `candidates` has 0xFF in those worth it.
    std::uint64_t compare(const unsigned char* from, std::uint64_t candidates) noexcept {
        std::uint64_t matches = 0;
        while (candidates != 0) {
            const int bit = std::countr_zero(candidates) & ~7;
            candidates &= ~(std::uint64_t{0xFF} << bit);
            const unsigned char* const place = from + bit / 8;
            if (place < next_) continue;  // inside the match before
            if (std::memcmp(place + 1, pattern_ + 1, length_ - 2) == 0) {
                ++matches;
                next_ = place + length_;
            } else {
                budget_ -= std::min(budget_, length_);
            }
        }
        return matches;
    }

    /// The places before `until` that the filter has left.
    std::uint64_t search(const unsigned char* until) noexcept {
        std::uint64_t matches = 0;
        while (next_ < until) {
            const unsigned char* const window_end = until + (length_ - 1);
            const void* const found =
                ::memmem(next_, static_cast<std::size_t>(window_end - next_), pattern_, length_);
            if (found == nullptr) {
                next_ = until;
                break;
            }
            ++matches;
            next_ = static_cast<const unsigned char*>(found) + length_;
        }
        return matches;
    }

    const unsigned char* next_;
    const unsigned char* const last_;  // the last place where a match can start
    const unsigned char* const end_;
    const unsigned char* const pattern_;
    const std::size_t length_;
    std::size_t budget_ = 0;
};

}  // namespace

Result<std::uint64_t> count(BytesView data, BytesView pattern, Stop stop) noexcept {
    if (pattern.empty()) return std::uint64_t{data.size()} + 1;
    if (pattern.size() > data.size()) return std::uint64_t{0};
    if (pattern.size() == 1) return count_bytes(data, *begin_of(pattern), stop);
    Finder finder(data, pattern);
    std::uint64_t total = 0;
    while (!finder.done()) {
        if (stop.requested()) return Error{ErrorKind::stopped};
        total += finder.count_some(std::max(kStride, pattern.size()));
    }
    return total;
}

Result<std::uint64_t> count_lines(BytesView data, Stop stop) noexcept {
    Result<std::uint64_t> ends = count_bytes(data, '\n', stop);
    if (ends.ok() && !data.empty() && data.back() != std::byte{'\n'}) ++ends.value();
    return ends;
}

Result<std::uint64_t> count_words(BytesView data, Stop stop) noexcept {
    if (data.empty()) return std::uint64_t{0};
    const unsigned char* const bytes = begin_of(data);
    // A word starts where no space follows a space, or the beginning.
    std::uint64_t total = is_space(bytes[0]) ? 0 : 1;
    for (std::size_t done = 1; done < data.size(); done += kStride) {
        if (stop.requested()) return Error{ErrorKind::stopped};
        total += count_places(
            bytes + done, std::min(kStride, data.size() - done),
            [](const unsigned char* p) { return ~spaces(load(p)) & spaces(load(p - 1)); },
            [](const unsigned char* p) { return !is_space(p[0]) && is_space(p[-1]); });
    }
    return total;
}

}  // namespace gilpool::kernels
