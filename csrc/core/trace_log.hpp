// The rings of all threads that take part in a trace, and the records collected from them.
// Any thread; one lock, held for one pass over the rings or less and never by who writes a record.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/tiny_lock.hpp"
#include "core/trace_ring.hpp"

namespace gilpool::core {

/// A thread enters once, writes into its own ring whenever it likes, and leaves at its end. A trace
/// begins and ends meanwhile: begin() forgets all there was, take() hands over what has come since.
/// What a thread that was late writes after the end is forgotten by the next begin().
class TraceLog {
  public:
    struct Thread {
        Thread(std::size_t ring_records, int id) : ring(ring_records), native_id(id) {}

        TraceRing ring;
        const int native_id;
        /// What an observer of this thread looks at while it is in a task, else null.
        std::atomic<void*> subject{nullptr};
        /// The task it is in, as far as it is known; begin is 0 while it is in none. The lock of
        /// tasks (in Python: the GIL) guards this and the next.
        TraceRecord open{};
        std::int64_t asked = 0;      ///< since when it waited for its turn; 0: it did not
        std::int64_t cpu = 0;        ///< the thread's own: its CPU clock when last read ...
        std::int64_t cpu_at = 0;     ///< ... when that was ...
        std::int64_t cpu_doubt = 0;  ///< ... and how long before its task began
        /// It stamps by itself when it is off the GIL now; no look need find out.
        std::atomic<bool> stamps_itself{false};
        std::uint8_t seen = 0;    ///< the observer's: what it saw last
        std::uint32_t index = 0;  ///< its number among the threads of this trace
        std::uint64_t dropped_before = 0;
    };

    /// What a trace consists of, apart from what its client knows.
    struct Recording {
        static constexpr std::size_t kChunk = 8'192;
        std::vector<std::vector<TraceRecord>> chunks;  ///< in no particular order
        std::vector<int> native_ids;                   ///< by TraceRecord::thread
        std::size_t records = 0;
        std::uint64_t dropped = 0;
    };

    /// `enter(native_id, ring_records)` makes the calling thread's part. Throws std::bad_alloc.
    Thread* enter(int native_id, std::size_t ring_records = TraceRing::kRecords);

    /// `leave(thread)` collects what its ring still holds and destroys it. Its writer's last call.
    void leave(Thread* thread);

    /// `begin(most)` begins a trace of at most that many records; what comes when they are there is
    /// dropped and counted.
    void begin(std::size_t most);

    /// `collect(look, finish)` moves the rings' records to the trace, calls look(thread) for each
    /// thread and finish() at the end, all under the lock. Both may call note(), and what look() is
    /// given lives until finish() is over. Returns how many records the fullest ring had.
    template <typename Look, typename Finish>
    std::size_t collect(Look look, Finish finish) {
        const std::lock_guard guard(lock_);
        std::size_t most = 0;
        for (const std::unique_ptr<Thread>& thread : threads_) {
            most = std::max(most, drain_locked(*thread));
            look(*thread);
        }
        finish();
        return most;
    }

    /// `note(record)` adds a record of the observer's own. Within collect(), or by who has the log
    /// to itself.
    void note(const TraceRecord& record);

    /// `take()` ends the trace and returns it.
    Recording take();

  private:
    std::size_t drain_locked(Thread& thread);

    TinyLock lock_;
    std::vector<std::unique_ptr<Thread>> threads_;
    Recording recording_;
    std::size_t most_ = 0;
    bool recording_is_on_ = false;
};

}  // namespace gilpool::core
