// What one thread has done lately, as fixed-size records that another thread takes away.
// One writer, one reader at a time; neither waits, allocates or takes a lock.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace gilpool::core {

/// One thing that happened. What the fields mean is up to the kind; times are nanoseconds on
/// CLOCK_MONOTONIC. Trivial on purpose: a ring's memory is not touched before it is written.
struct TraceRecord {
    std::int64_t begin;
    std::int64_t end;
    std::int64_t extra;
    std::int64_t cpu;
    std::uint32_t number;
    std::uint32_t name;
    std::uint32_t thread;  // filled in by who takes the record away
    std::uint8_t kind;
    std::uint8_t detail;
    std::uint16_t unused;
};
static_assert(sizeof(TraceRecord) == 48);

/// A ring that drops what comes when it is full, and counts that: who reads late loses the newest
/// records, never half of one.
///
/// Invariant: read_ <= written_ <= read_ + capacity. The slots from read_ up to written_ belong to
/// the reader, all others to the writer. Each counter is moved by one side only, after it is done
/// with the slot: the store releases the slot to the other side, whose load acquires it. There is
/// no other shared data, so nothing has to be seq_cst.
class TraceRing {
  public:
    /// 10 ms of what the quickest writer writes, should the reader not get the CPU. 3 MB of address
    /// space; memory is used from the first record on, page by page.
    static constexpr std::size_t kRecords = 65'536;

    /// The capacity is the next power of two.
    explicit TraceRing(std::size_t records = kRecords)
        : mask_(std::bit_ceil(std::max<std::size_t>(records, 1)) - 1),
          slots_(new TraceRecord[mask_ + 1]) {}

    /// `write()` adds a record, or counts it as dropped. Writer.
    void write(const TraceRecord& record) noexcept {
        const std::uint64_t at = written_.load(std::memory_order_relaxed);
        if (at - known_read_ > mask_) {
            known_read_ = read_.load(std::memory_order_acquire);
            if (at - known_read_ > mask_) {
                // A counter of the writer's own: others only want some recent value of it.
                dropped_.store(dropped_.load(std::memory_order_relaxed) + 1,
                               std::memory_order_relaxed);
                return;
            }
        }
        slots_[at & mask_] = record;
        written_.store(at + 1, std::memory_order_release);
    }

    /// `take(into)` calls into(record) for each record there is, the oldest first, and returns how
    /// many. Reader.
    template <typename Into>
    std::size_t take(Into into) {
        const std::uint64_t from = read_.load(std::memory_order_relaxed);
        const std::uint64_t until = written_.load(std::memory_order_acquire);
        for (std::uint64_t at = from; at != until; ++at) {
            into(slots_[at & mask_]);
        }
        read_.store(until, std::memory_order_release);
        return static_cast<std::size_t>(until - from);
    }

    /// `dropped()` counts what found the ring full since it was made. Any thread; exact once the
    /// writer rests.
    std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

    std::size_t capacity() const noexcept { return mask_ + 1; }

  private:
    const std::uint64_t mask_;
    const std::unique_ptr<TraceRecord[]> slots_;
    // The writer's line, then the reader's: they would take it from each other at every record.
    alignas(64) std::atomic<std::uint64_t> written_{0};
    std::uint64_t known_read_ = 0;
    std::atomic<std::uint64_t> dropped_{0};
    alignas(64) std::atomic<std::uint64_t> read_{0};
};

}  // namespace gilpool::core
