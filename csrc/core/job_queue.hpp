// A FIFO of jobs in 4 kB blocks, from which any entry can be taken out in O(1).
// Not synchronised: every call is made under the pool's lock, except size().
//
// An entry is 16 bytes, written once and read once in order, so a burst of posts costs one cache
// line per four jobs and no allocation; nodes would cost a line and a free-list trip each.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace gilpool::core {

/// What a worker calls. A null function marks an entry that has been taken out.
struct Job {
    using Function = void (*)(void* context);
    Function function = nullptr;
    void* context = nullptr;
};

class JobQueue {
  public:
    /// Where a pushed job is: valid for erase() until it has been popped, which erase() finds out.
    struct Place {
        Job* slot = nullptr;
        std::uint64_t ticket = 0;  // how many jobs were pushed before this one
    };

    JobQueue() = default;
    ~JobQueue();
    JobQueue(const JobQueue&) = delete;
    JobQueue& operator=(const JobQueue&) = delete;

    /// push() appends. Throws std::bad_alloc and changes nothing if a new block cannot be had.
    Place push(Job job);

    /// push_from() moves up to `most` of another queue's oldest jobs here and returns how many; at
    /// most as many as fit in a block. Throws std::bad_alloc, and then has moved none.
    template <class Source>
    std::size_t push_from(Source& source, std::size_t most) {
        make_room();
        const std::size_t room = kBlockJobs - tail_;
        const std::size_t count = source.pop(&last_->jobs[tail_], most < room ? most : room);
        tail_ += count;
        pushed_ += count;
        set_size(size() + count);
        return count;
    }

    /// pop() moves up to `most` of the oldest jobs to `out` and returns how many.
    std::size_t pop(Job* out, std::size_t most) noexcept;

    /// erase() takes out the job at `place`; false if it has been popped.
    bool erase(const Place& place) noexcept;

    /// clear() drops every job and every block.
    void clear() noexcept;

    /// size() is the exact number of jobs; a hint if the lock is not held.
    std::size_t size() const noexcept { return live_.load(std::memory_order_relaxed); }

  private:
    static constexpr std::size_t kBlockBytes = 4096;
    static constexpr std::size_t kBlockJobs = kBlockBytes / sizeof(Job) - 2;
    /// Empty blocks kept for the next burst.
    static constexpr std::size_t kSpareBlocks = 16;

    /// Aligned to its size, so that a slot's address tells its block.
    struct alignas(kBlockBytes) Block {
        Block* previous = nullptr;
        Block* next = nullptr;
        std::uint64_t first_ticket = 0;  // of jobs[0]; the others follow
        std::size_t erased = 0;          // how many were taken out from the middle
        std::array<Job, kBlockJobs> jobs;
    };
    static_assert(sizeof(Block) == kBlockBytes);

    void make_room() {
        if (last_ == nullptr || tail_ == kBlockJobs) {
            append_block();
        }
    }
    void append_block();
    void unlink(Block* block) noexcept;
    void forget_emptied() noexcept;
    void set_size(std::size_t size) noexcept { live_.store(size, std::memory_order_relaxed); }

    Block* first_ = nullptr;
    Block* last_ = nullptr;
    std::size_t head_ = 0;  // next slot to pop, in first_
    std::size_t tail_ = 0;  // next slot to fill, in last_
    /// Jobs ever pushed, which is the next ticket. Blocks that were taken out of the middle leave
    /// gaps in the tickets that are still queued; their order stays.
    std::uint64_t pushed_ = 0;
    std::atomic<std::size_t> live_{0};
    Block* spare_ = nullptr;
    std::size_t spares_ = 0;
};

}  // namespace gilpool::core
