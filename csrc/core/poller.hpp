// The seam to the kernel's readiness queue: epoll here, and a face that kqueue fits as well.
// One thread waits; any thread may wake it and watch descriptors meanwhile. No lock is taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/clock.hpp"

namespace gilpool::core {

/// What a descriptor is watched for, or has become; a set of bits.
struct Readiness {
    bool readable = false;
    bool writable = false;
};

/// A watched descriptor has become ready. Errors and hang-ups count as both, so that whoever waits
/// meets them in its next system call.
struct ReadyEvent {
    std::uint64_t tag;
    Readiness ready;
};

/// Thread safety: `wake`, `watch` and `rewatch` may be called by any thread while one thread is in
/// `wait`; `open` and `close` only while no other call can be under way.
class Poller {
  public:
    /// How `wait` measures its time-out. The finest that the kernel offers is taken; a test may ask
    /// for less.
    enum class Timing : std::uint8_t { nanoseconds, timer_descriptor, milliseconds };

    /// The time-out that never comes.
    static constexpr Duration kForever = Duration::max();

    explicit Poller(Timing finest = Timing::nanoseconds) noexcept : timing_(finest) {}
    ~Poller() { close(); }
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;

    /// `open()` creates the kernel's objects, close-on-exec. Returns 0 or an errno; afterwards the
    /// poller is open or as closed as before. Opening an open poller does nothing.
    [[nodiscard]] int open() noexcept;

    /// `close()` drops the descriptors and nothing else: in a forked child the watched set is
    /// shared with the parent, so that taking a descriptor out of it would take it out of the
    /// parent's.
    void close() noexcept;

    bool is_open() const noexcept { return queue_ >= 0; }

    /// The timing that is in use, once open.
    Timing timing() const noexcept { return timing_; }

    /// `wake()` makes the `wait` under way, or else the next one, return at once.
    void wake() noexcept;

    /// `watch(fd, interest, tag)` adds a descriptor to the set and asks to be told once: after an
    /// event the descriptor stays in the set, silent, until `rewatch`. Returns 0 or an errno:
    /// EEXIST if it is in the set, EPERM if its readiness cannot be waited for, EBADF if it is not
    /// open.
    [[nodiscard]] int watch(int fd, Readiness interest, std::uint64_t tag) noexcept;

    /// `rewatch(fd, interest, tag)` does so for a descriptor that is in the set. Returns 0 or an
    /// errno: ENOENT if it is not, because the file it named has been closed, EBADF as above.
    [[nodiscard]] int rewatch(int fd, Readiness interest, std::uint64_t tag) noexcept;

    /// `unwatch(fd)` takes a descriptor out of the set, if it is there.
    void unwatch(int fd) noexcept;

    /// `wait(timeout, events)` sleeps until a descriptor is ready, `wake` is called or the time is
    /// up, and never less than that but for a signal. Returns how many events it has filled in.
    std::size_t wait(Duration timeout, std::span<ReadyEvent> events) noexcept;

  private:
    int queue_ = -1;
    int waker_ = -1;
    int timer_ = -1;
    Timing timing_;
};

}  // namespace gilpool::core
