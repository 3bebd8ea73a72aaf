// A bounded ring through which posted jobs enter the pool without its lock.
// Any thread may post, and ask what is a hint; all else is done under the pool's lock.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/job_queue.hpp"

namespace gilpool::core {

/// What became of a job that was posted.
enum class Posted : std::uint8_t {
    taken,
    taken_call,  // taken, and the poster is to see to it that somebody comes for it
    full,        // not taken: there is no room until some jobs have been popped
    closed,      // not taken, and none will be
};

/// One word counts the tickets that were given out, and says whether the intake is closed. So a
/// post is one locked instruction, the CAS that takes a ticket, and two stores to the ticket's
/// slot, of which the second publishes the job. Between them the job counts as here although it
/// cannot be popped yet, nor can those behind it: its poster has some instructions to go, or has
/// lost its core amid them.
///
/// Invariant: no post comes unnoticed between "there is nothing here" and "call me". Its poster
/// takes a ticket and then looks whether it is to call; who asks for calls says so and then looks
/// at the tickets. All four are seq_cst, that is in one order, in which either the ticket comes
/// before the look at the tickets, or the asking comes before the look at it. A close() needs none
/// of that: it is in the same word as the tickets, so that none is taken after it.
class Intake {
  public:
    /// Some microseconds of posts, which then pass through the queue: it is there for the workers'
    /// lock to be taken once for many posts, and small enough to stay in the caches.
    static constexpr std::size_t kSlots = 256;

    Intake() = default;
    Intake(const Intake&) = delete;
    Intake& operator=(const Intake&) = delete;

    /// post() puts a job behind all that are here.
    Posted post(const Job& job) noexcept {
        std::uint64_t ticket = 0;
        const Posted posted = reserve(ticket);
        if (posted == Posted::taken || posted == Posted::taken_call) {
            publish(ticket, job);
        }
        return posted;
    }

    /// reserve() is the first half of post(): it takes a ticket. Who has one must publish() it.
    Posted reserve(std::uint64_t& ticket) noexcept {
        std::uint64_t seen = word_.load(std::memory_order_relaxed);
        do {
            if ((seen & kClosed) != 0) {
                return Posted::closed;
            }
            ticket = seen & kTickets;
            // Acquire pairs with the release in pop(): the slot has been emptied. The difference is
            // negative if `seen` is out of date, which the CAS finds out.
            const std::uint64_t head = head_.load(std::memory_order_acquire);
            if (static_cast<std::int64_t>(ticket - head) >= static_cast<std::int64_t>(kSlots)) {
                return Posted::full;
            }
        } while (!word_.compare_exchange_weak(seen, seen + 1, std::memory_order_seq_cst,
                                              std::memory_order_relaxed));
        return call_.load(std::memory_order_seq_cst) ? Posted::taken_call : Posted::taken;
    }

    /// publish() is the second half: the job can be popped from now on.
    void publish(std::uint64_t ticket, const Job& job) noexcept {
        Slot& slot = slots_[ticket % kSlots];
        // Relaxed: published by the function.
        slot.context.store(job.context, std::memory_order_relaxed);
        // Release pairs with the acquire in pop(): with the function come the context and whatever
        // the poster wrote before.
        slot.function.store(job.function, std::memory_order_release);
    }

    /// pop() moves up to `most` of the oldest jobs to `out` and returns how many: fewer than are
    /// here if the next one is not published.
    std::size_t pop(Job* out, std::size_t most) noexcept;

    /// size() is how many jobs are here, published or not.
    std::size_t size() const noexcept { return static_cast<std::size_t>(posted() - popped()); }

    /// empty() is size() == 0; a hint if the lock is not held.
    bool empty() const noexcept { return posted() == popped(); }

    /// ready() is true if the oldest job can be popped; a hint. It looks at that job's slot only,
    /// so who asks all the time leaves the other lines with the posters.
    bool ready() const noexcept {
        return slots_[popped() % kSlots].function.load(std::memory_order_relaxed) != nullptr;
    }

    /// posted() and popped() count the jobs that ever came and went. A thread sees all its own
    /// posts counted. Who holds the lock after it saw a job popped finds it where the popper put
    /// it.
    std::uint64_t posted() const noexcept {
        return word_.load(std::memory_order_relaxed) & kTickets;
    }
    std::uint64_t popped() const noexcept { return head_.load(std::memory_order_relaxed); }

    /// ask_for_calls() has every later post answer `taken_call`. True if a job came before, whose
    /// poster may not know: then who asked must come for it, or call.
    bool ask_for_calls() noexcept;

    /// stop_calls() undoes that. Relaxed: who has not seen it yet calls without need.
    void stop_calls() noexcept { call_.store(false, std::memory_order_relaxed); }

    /// close() has every later post answer `closed`.
    void close() noexcept { word_.fetch_or(kClosed, std::memory_order_relaxed); }

    /// all_published() is true if every job that is here can be popped; it looks at each.
    bool all_published() const noexcept;

  private:
    struct Slot {
        std::atomic<Job::Function> function{nullptr};  // null: nothing to be popped
        std::atomic<void*> context{nullptr};
    };

    static constexpr std::uint64_t kClosed = std::uint64_t{1} << 63;
    static constexpr std::uint64_t kTickets = kClosed - 1;

    // Lines of their own: written by every post, by every batch that is popped, by workers that
    // come and go, and (the slots) by all.
    alignas(64) std::atomic<std::uint64_t> word_{0};
    alignas(64) std::atomic<std::uint64_t> head_{0};  // the next ticket to be popped
    alignas(64) std::atomic<bool> call_{false};       // changed under the lock
    alignas(64) std::array<Slot, kSlots> slots_;
};

}  // namespace gilpool::core
