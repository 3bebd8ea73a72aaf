// Who asks again when the system has refused a thread that queued work needs.
// Any thread, with or without the GIL; not under the lock of a pool or of the reactor.
#pragma once

#include <atomic>
#include <chrono>

#include "core/clock.hpp"

namespace gilpool::core {

/// A pool that is refused a thread keeps what is queued: workers that run look at the queues when
/// they have done, and every new job asks again. Beyond that somebody must ask who does not depend
/// on either, since there may be no worker, and nobody may post any more:
/// - the reactor's thread, if it exists or can be had, and
/// - whoever sleeps in a Parker (the waiter of a task or a latch, a worker that is idle), for who
///   falls asleep during a shortage wakes now and then until it is over.
///
/// So a job is begun soon after the system has a thread again, unless the process can have no
/// reactor and all its threads are in foreign code: then as soon as one of them posts or waits
/// here, and at the latest by shutdown(), which runs it itself.
class ThreadShortage {
  public:
    /// exists() is true while work waits for a thread that was refused.
    static bool exists() noexcept { return exists_.load(std::memory_order_relaxed); }

    /// begin() notes that there is one.
    static void begin() noexcept { exists_.store(true, std::memory_order_relaxed); }

    /// call_reactor() has the reactor ask again in a while. Not by who is amid a fork or an asker,
    /// since both hold locks that come after the reactor's.
    static void call_reactor() noexcept;

    /// ask_again() has the asker ask, and calls the reactor if threads are still missing.
    static void ask_again() noexcept;

    /// set_asker() tells how to ask. The asker calls begin() if threads are still missing, and
    /// returns false if it could not even ask (somebody else does, or a fork is under way). Called
    /// by the first pool, and again by each other one.
    static void set_asker(bool (*asker)());

    /// forget() is for a forked child, whose pools are empty.
    static void forget() noexcept;

    /// How long after a refusal asking makes sense again, and the most after many.
    static constexpr std::chrono::milliseconds kFirstPause{10};
    static constexpr std::chrono::milliseconds kLongestPause{1000};

    /// The pauses of one who sleeps through a shortage: each is twice as long as the one before, so
    /// that a thousand sleepers are no load.
    class Naps {
      public:
        /// next_end() returns when to wake for ask_again(): kNever without a shortage.
        TimePoint next_end() noexcept;

      private:
        std::chrono::milliseconds length_ = kFirstPause;
    };

  private:
    static std::atomic<bool> exists_;
};

}  // namespace gilpool::core
