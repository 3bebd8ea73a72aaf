// What the reactor waits for: a deadline, or a descriptor's readiness with an optional deadline.
// The owner may touch a wait while it is not armed; from arm to end it belongs to the reactor.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/timer_heap.hpp"

namespace gilpool::core {

/// How a wait ended.
enum class WaitEnd : std::uint8_t {
    due,        // the deadline has come
    ready,      // the descriptor became ready; a hint, as somebody else may use it up first
    closed,     // the descriptor was given up by `forget`, or names another file by now
    shut_down,  // the reactor was shut down first
    broken,     // this is the child of a fork: the wait goes on in the parent only
    failed,     // the reactor could not get its thread back after a fork (in the parent)
};

/// Says who is handed a wait that has ended: the batch function that Reactor::add_client was given.
enum class ReactorClient : std::uint8_t {};

/// A sleep: 16 bytes to embed in what is to be told, and 16 bytes in the heap while armed.
///
/// idle --arm--> armed --the reactor--> ended --arm--> armed ...
///                 \------cancel------> idle
///
/// The state changes only under the reactor's mutex, so that of everything that can end an armed
/// wait exactly one does.
class TimedWait : public TimerNode {
  public:
    explicit TimedWait(ReactorClient client) noexcept : client_(client) {}

    /// `result()` tells how the wait ended. For the batch function, and whom it tells.
    WaitEnd result() const noexcept { return result_; }

    /// `next()` is the next wait of the same batch, nullptr at the end. For the batch function:
    /// read it before the wait's owner can learn of the end and free the wait.
    TimedWait* next() const noexcept { return next_; }

    /// `on_descriptor()` tells whether this is an FdWait.
    bool on_descriptor() const noexcept { return on_descriptor_; }

  protected:
    enum class FdTag : std::uint8_t {};
    TimedWait(ReactorClient client, FdTag) noexcept : client_(client), on_descriptor_(true) {}

  private:
    friend class Reactor;
    friend class HandOver;
    enum class State : std::uint8_t { idle, armed, ended };

    State state_ = State::idle;
    WaitEnd result_ = WaitEnd::due;
    ReactorClient client_;
    bool on_descriptor_ = false;
    TimedWait* next_ = nullptr;
};
static_assert(sizeof(TimedWait) == 8 + sizeof(void*));

/// What an FdWait waits for.
enum class Direction : std::uint8_t { read, write };

/// A wait for a descriptor to become readable or writable. One reader and one writer may wait for a
/// descriptor at a time. The owner keeps the descriptor open, or calls Reactor::forget before it
/// closes it: the kernel tells nobody that a watched descriptor has gone.
class FdWait : public TimedWait {
  public:
    FdWait(ReactorClient client, int fd, Direction direction) noexcept
        : TimedWait(client, FdTag{}), fd_(fd), direction_(direction) {}

    int fd() const noexcept { return fd_; }
    Direction direction() const noexcept { return direction_; }

  private:
    int fd_;
    Direction direction_;
};

}  // namespace gilpool::core
