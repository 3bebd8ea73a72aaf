// Waits that have ended, on their way to the clients: gathered, then given away as one batch.
// The reactor's mutex guards every call; deliver() lets go of it while the batch functions run.
#pragma once

#include <pthread.h>

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "core/timed_wait.hpp"

namespace gilpool::core {

/// How many batch functions a reactor can serve.
inline constexpr std::size_t kMaxReactorClients = 8;

/// Hand-overs happen one at a time and are numbered. A wait that has ended is in the one that is
/// under way, or in the one that is being gathered for: so who knows the number of the latter knows
/// when nobody touches the wait any more. What is gathered is touched again only by deliver(),
/// once: it takes all of it under the lock, and gives the lists away.
class HandOver {
  public:
    using Lock = std::unique_lock<std::mutex>;
    using BatchFunction = void (*)(TimedWait* first, void* context) noexcept;

    /// `changed` is notified when a hand-over is done.
    explicit HandOver(std::condition_variable& changed) noexcept : changed_(changed) {}

    /// `add_client(function, context)` registers a batch function for good. Throws
    /// std::length_error beyond kMaxReactorClients.
    ReactorClient add_client(BatchFunction function, void* context);

    /// `add(wait, result)` ends the wait, and gathers it.
    void add(TimedWait& wait, WaitEnd result) noexcept;

    /// `empty()` is true while nothing has been gathered.
    bool empty() const noexcept { return gathered_.count == 0; }

    /// `under_way()` is true while batch functions run, `by_this_thread()` if they run here.
    bool under_way() const noexcept { return begun_ != done_; }
    bool by_this_thread() const noexcept;

    /// `begun()` counts hand-overs, the one under way included.
    std::uint64_t begun() const noexcept { return begun_; }

    /// `deliver(lock)` hands over what has been gathered, if anything.
    void deliver(Lock& lock) noexcept;

    /// `wait_for_all(lock)` returns when everything that has ended by now has been handed over.
    void wait_for_all(Lock& lock) noexcept;

    /// `wait_while_under_way(lock)` returns when no batch function runs.
    void wait_while_under_way(Lock& lock) noexcept;

    /// `start_anew()` forgets the hand-over that was under way in the parent of this process; what
    /// has been gathered stays.
    void start_anew() noexcept { begun_ = done_ = 0; }

  private:
    struct Client {
        BatchFunction function = nullptr;
        void* context = nullptr;
    };
    struct List {
        TimedWait* first = nullptr;
        TimedWait* last = nullptr;
    };
    struct Batch {
        std::array<List, kMaxReactorClients> lists{};
        std::size_t count = 0;
    };

    std::condition_variable& changed_;
    std::array<Client, kMaxReactorClients> clients_{};
    std::size_t client_count_ = 0;
    Batch gathered_;
    std::uint64_t begun_ = 0;
    std::uint64_t done_ = 0;  ///< one less while batch functions run
    pthread_t runs_them_{};   ///< the thread that does
};

}  // namespace gilpool::core
