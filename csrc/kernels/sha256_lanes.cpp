// kernels/sha256_lanes.cpp: which message is in which lane: one that is done gives way to the next.
#include "kernels/sha256_lanes.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/sha256_compress.hpp"

namespace gilpool::kernels::sha256_lanes {

namespace {

/// The messages and what lanes have of them.
class Batch {
  public:
    Batch(std::span<const BytesView> messages, std::span<Result<Digest>> digests,
          Progress& progress) noexcept
        : messages_(messages), digests_(digests), progress_(progress) {}

    Result<Done> run(Stop stop) noexcept {
        for (std::size_t lane = 0; lane < kLanes; ++lane) take_next(lane);
        while (true) {
            const std::size_t count = step_length();
            if (count == 0) return Done{};
            if (stop.requested()) return Error{ErrorKind::stopped};
            compress(hash_, blocks(), ahead_, count);
            for (std::size_t lane = 0; lane < kLanes; ++lane) {
                if (lanes_[lane].blocks != 0) pass(lane, count);
            }
            // Together: counting one by one would cost as much as all the rest of a message's end.
            if (finished_ != 0) progress_.finish(std::exchange(finished_, 0));
        }
    }

  private:
    struct Lane {
        const std::byte* at = nullptr;
        std::size_t blocks = 0;       ///< to do from there; 0: there was no message left for it
        std::size_t tail_blocks = 0;  ///< to do after them, from the tail
        std::size_t message = 0;
        std::array<std::byte, 2 * kBlock> tail;  ///< the end of the message and its padding
    };

    void take_next(std::size_t lane) noexcept {
        while (next_ < messages_.size() && messages_[next_].size() > kLongest) ++next_;
        if (next_ == messages_.size()) return;
        const BytesView message = messages_[next_];
        Lane& mine = lanes_[lane];
        mine.message = next_++;
        mine.at = message.data();
        mine.blocks = message.size() / kBlock;
        pad(mine, message);
        if (mine.blocks == 0) begin_tail(mine);
        for (std::size_t i = 0; i < kStateWords; ++i) hash_[i][lane] = kInitial[i];
        // With messages of one length this is what the lane takes next.
        const BytesView later = messages_[std::min(mine.message + kLanes, messages_.size() - 1)];
        ahead_[lane] = reinterpret_cast<std::uintptr_t>(later.data());
        __builtin_prefetch(reinterpret_cast<const void*>(ahead_[lane] + later.size()));
    }

    /// A bit, zeros, and the length in bits at the end of a block.
    static void pad(Lane& lane, BytesView message) noexcept {
        const std::size_t rest = message.size() % kBlock;
        lane.tail_blocks = rest + 1 + sizeof(std::uint64_t) <= kBlock ? 1 : 2;
        lane.tail.fill(std::byte{0});
        std::copy(message.end() - static_cast<std::ptrdiff_t>(rest), message.end(),
                  lane.tail.begin());
        lane.tail[rest] = std::byte{0x80};
        const std::uint64_t bits = __builtin_bswap64(std::uint64_t{message.size()} * 8);
        std::memcpy(lane.tail.data() + lane.tail_blocks * kBlock - sizeof bits, &bits, sizeof bits);
    }

    static void begin_tail(Lane& lane) noexcept {
        lane.at = lane.tail.data();
        lane.blocks = std::exchange(lane.tail_blocks, 0);
    }

    /// How many blocks every lane that has some has; 0 when all is done.
    std::size_t step_length() const noexcept {
        std::size_t length = 0;
        for (const Lane& lane : lanes_) {
            if (lane.blocks != 0)
                length = length == 0 ? lane.blocks : std::min(length, lane.blocks);
        }
        return length;
    }

    /// Where each lane reads: one without a message beside another, for nothing.
    Places blocks() const noexcept {
        const auto some = std::find_if(lanes_.begin(), lanes_.end(),
                                       [](const Lane& lane) { return lane.blocks != 0; });
        Places places;
        std::transform(lanes_.begin(), lanes_.end(), places.begin(),
                       [&](const Lane& lane) { return lane.blocks != 0 ? lane.at : some->at; });
        return places;
    }

    void pass(std::size_t lane, std::size_t count) noexcept {
        Lane& mine = lanes_[lane];
        mine.at += count * kBlock;
        ahead_[lane] += count * kBlock;
        mine.blocks -= count;
        if (mine.blocks != 0) return;
        if (mine.tail_blocks != 0) {
            begin_tail(mine);
        } else {
            finish(lane);
            take_next(lane);
        }
    }

    void finish(std::size_t lane) noexcept {
        Digest digest;
        digest.size = 4 * kStateWords;
        for (std::size_t i = 0; i < kStateWords; ++i) {
            const std::uint32_t word = __builtin_bswap32(hash_[i][lane]);
            std::memcpy(digest.storage.data() + 4 * i, &word, sizeof word);
        }
        digests_[lanes_[lane].message] = digest;
        ++finished_;
    }

    const std::span<const BytesView> messages_;
    const std::span<Result<Digest>> digests_;
    Progress& progress_;
    std::size_t next_ = 0;
    std::size_t finished_ = 0;  ///< not yet counted
    std::array<Lane, kLanes> lanes_;
    State hash_{};
    Addresses ahead_{};
};

}  // namespace

bool available() noexcept {
    return can_compress();
}

Result<Done> hash(std::span<const BytesView> messages, std::span<Result<Digest>> digests,
                  Progress& progress, Stop stop) noexcept {
    return Batch(messages, digests, progress).run(stop);
}

}  // namespace gilpool::kernels::sha256_lanes
