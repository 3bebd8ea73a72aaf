// Who waits for which descriptor, kept in step with what the poller watches.
// Not thread-safe: the reactor's mutex guards every call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/poller.hpp"
#include "core/timed_wait.hpp"

namespace gilpool::core {

/// What Reactor::arm_fd can answer. Anything but `armed` leaves the wait as it was.
enum class ArmResult : std::uint8_t {
    armed,
    busy,            // the wait is armed already, or another one waits for the same of this fd
    not_pollable,    // a regular file and the like: always ready, wait by reading or writing
    bad_descriptor,  // not open
    no_resources,    // out of memory, descriptors or threads
    shut_down,       // the reactor takes no more
};

/// One slot per descriptor: a reader, a writer and whether the poller's set holds the descriptor.
///
/// A descriptor stays in the set after its last wait has ended, silent, so that the next wait costs
/// one system call. That a slot's descriptor has been closed shows when it is asked for again: the
/// set no longer knows it. Whoever still waited is then handed out as gone, and the slot's
/// generation, which events carry, goes up: events of a file that lives on under another number
/// (dup, fork) reach nobody.
///
/// Invariant: a slot with a reader or a writer is watched, for just them or for more. More, because
/// `remove` does not tell the kernel: the event that nobody wants any more is ignored once.
class FdTable {
  public:
    /// At most a reader and a writer, either may be nullptr.
    struct Pair {
        FdWait* reader = nullptr;
        FdWait* writer = nullptr;
    };

    explicit FdTable(Poller& poller) noexcept : poller_(poller) {}

    /// `add(wait, gone)` starts to watch; who waited for a file that the descriptor no longer names
    /// is taken out and returned in `gone`, whatever the answer is.
    ArmResult add(FdWait& wait, Pair& gone) noexcept;

    /// `remove(wait)` takes out a wait that is in the table.
    void remove(FdWait& wait) noexcept;

    /// `on_event(event, gone)` takes out whom the event concerns and returns them. Who cannot be
    /// watched any longer is taken out into `gone`.
    Pair on_event(const ReadyEvent& event, Pair& gone) noexcept;

    /// `forget(fd)` stops watching the descriptor and takes out who waited for it.
    Pair forget(int fd) noexcept;

    /// `drain(function)` takes out every wait and calls function(wait). Does not touch the poller.
    template <class Function>
    void drain(Function&& function) noexcept {
        for (Slot& slot : slots_) {
            for (FdWait** const place : {&slot.waits.reader, &slot.waits.writer}) {
                if (FdWait* const wait = take(*place)) {
                    function(*wait);
                }
            }
        }
    }

    /// `restart()` tells that the poller's set is a new, empty one. The table must be empty.
    void restart() noexcept;

    /// How many waits are in the table.
    std::size_t size() const noexcept { return size_; }

  private:
    struct Slot {
        Pair waits;
        std::uint32_t generation = 0;
        bool watched = false;
    };

    static Readiness interest(const Slot& slot) noexcept;
    static std::uint64_t tag(int fd, const Slot& slot) noexcept;
    static FdWait*& place_for(Slot& slot, const FdWait& wait) noexcept;
    bool make_room_for(int fd) noexcept;
    ArmResult watch_new_file(int fd, Slot& slot, FdWait& wait) noexcept;
    Pair abandon(Slot& slot) noexcept;
    Pair take(Slot& slot) noexcept;
    FdWait* take(FdWait*& place) noexcept;

    Poller& poller_;
    std::vector<Slot> slots_;
    std::size_t size_ = 0;
};

}  // namespace gilpool::core
