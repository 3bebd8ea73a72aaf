// Sleeps and descriptor waits without a thread each: one lazy thread for all of them.
// Any thread may call this, with or without the GIL; one small mutex, not held during a callback.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "core/clock.hpp"
#include "core/fd_table.hpp"
#include "core/hand_over.hpp"
#include "core/poller.hpp"
#include "core/service_thread.hpp"
#include "core/timed_wait.hpp"
#include "core/timer_heap.hpp"

namespace gilpool::core {

/// What a reactor has done since it was made (in a forked child: since the fork).
struct ReactorStats {
    /// Buckets of lateness: [0] counts < 1 us, [i] counts [2^(i-1), 2^i) us, the last all above.
    static constexpr std::size_t kBuckets = 24;

    std::size_t armed = 0;              ///< waits armed now
    std::size_t armed_descriptors = 0;  ///< of these, on a descriptor
    bool has_thread = false;            ///< whether the thread exists now
    bool asleep = false;                ///< whether it waits in the kernel, or is about to
    std::uint64_t fired = 0;            ///< waits that ended due or ready
    std::uint64_t cancelled = 0;        ///< waits that a cancel has won
    std::uint64_t dropped = 0;          ///< waits that ended closed, shut_down, broken or failed
    std::uint64_t batches = 0;          ///< rounds that handed anything over
    std::uint64_t wake_ups = 0;         ///< returns from waiting in the kernel
    std::uint64_t wakes_sent = 0;       ///< of these, asked for by who armed something earlier
    std::uint64_t threads_started = 0;
    Duration lateness_max{0};
    std::array<std::uint64_t, kBuckets> lateness{};
};

/// Ends waits when their deadline has come or their descriptor is ready, and tells their client.
///
/// The thread is started by the first arm and retires when nothing has been armed for 10 s. It runs
/// no user code and never takes the GIL: it hands over. All that is due in one round of the
/// reactor, up to 4,096 waits (more leave in the next rounds, at once), is one linked list per
/// client, given to the batch function that the client has registered. One client is there from the
/// beginning: notifying_wait.hpp.
///
/// Every wait that was armed ends exactly once: it is handed over with a result, or a cancel
/// returns true. Nothing is handed over twice, nothing is lost in a shutdown or a fork.
///
/// **Batch functions** run on the reactor's thread, or on the thread that calls shutdown or fork,
/// without any lock of the reactor. They own the waits of the list, must be short, must not block
/// on anything that somebody may hold while he forks, and may call `arm`, `arm_many`, `arm_fd`,
/// `try_cancel`, `forget` and `stats`.
///
/// Thread safety: everything but construction and destruction may be called by any thread.
/// GIL: nothing here needs it; with it held, calls wait at most for the mutex (well under 1 ms).
class Reactor {
  public:
    using BatchFunction = HandOver::BatchFunction;

    /// A wait and when it is due, for `arm_many`.
    struct Arming {
        TimedWait* wait;
        TimePoint deadline;
    };

    /// What `arm_many` did: the first `armed` waits are armed, and why not more.
    struct ArmedMany {
        std::size_t armed;
        ArmResult result;
    };

    /// How long the thread stays with nothing armed.
    static constexpr Duration kIdleTime = std::chrono::seconds(10);

    /// `process()` returns the process's reactor, which follows forks (ForkStage::reactor: it stops
    /// before the pool and resumes after it) and is never destroyed.
    static Reactor& process();

    explicit Reactor(const Clock& clock = SteadyClock::instance(),
                     Poller::Timing timing = Poller::Timing::nanoseconds) noexcept;

    /// Shuts down. No other thread may be in a call.
    ~Reactor();
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;

    /// `add_client(function, context)` registers who is handed the waits made with the returned
    /// client, for good. Throws std::length_error beyond kMaxReactorClients - 1.
    ReactorClient add_client(BatchFunction function, void* context);

    /// `arm(wait, deadline)` starts a sleep that ends when the deadline has come, at once if it
    /// has. With kNever it ends by cancel, shutdown or fork only. From `armed` on the wait must
    /// stay alive and in place until it is handed over or a cancel has returned.
    [[nodiscard]] ArmResult arm(TimedWait& wait, TimePoint deadline) noexcept;

    /// `arm_many(armings)` does so for many sleeps with few locks and at most one wake-up each
    /// lock.
    [[nodiscard]] ArmedMany arm_many(std::span<const Arming> armings) noexcept;

    /// `arm_fd(wait, deadline)` starts a wait for a descriptor that ends when it is ready or the
    /// deadline has come.
    [[nodiscard]] ArmResult arm_fd(FdWait& wait, TimePoint deadline = kNever) noexcept;

    /// `try_cancel(wait)` ends an armed wait unless something else has; O(log n), waits for nobody.
    /// True: the wait is idle and will not be handed over. False: it was not armed, or its batch
    /// function has been or is being or will be called with it.
    bool try_cancel(TimedWait& wait) noexcept;

    /// `cancel(wait)` does so, and returns false only after the batch function that got the wait
    /// has returned: whatever the answer, nobody touches the wait any more and it can be destroyed.
    /// Must not be called with a lock held that the batch function takes, nor for a wait that the
    /// batch function arms again; called from within a batch function it is `try_cancel`.
    bool cancel(TimedWait& wait) noexcept;

    /// `forget(fd)` ends the waits for a descriptor with `closed`. To be called before a close.
    void forget(int fd) noexcept;

    /// `look_again()` makes the reactor read its clock: for a clock that does not run by itself.
    void look_again() noexcept;

    /// `shutdown()` refuses what comes, ends what is armed with `shut_down` and ends the thread.
    /// When it returns the last batch function has returned. Idempotent. Not from a batch function.
    void shutdown() noexcept;

    /// `prepare_fork()` retires the thread, so that a fork finds a process without it, and keeps
    /// the mutex until `parent_after_fork` or `child_after_fork`, one of which must follow on this
    /// thread. A thread that does not come out of a batch function for 1 s is left alone.
    void prepare_fork() noexcept;

    /// `parent_after_fork()` resumes: with a new thread now if anything is armed, else when it is.
    void parent_after_fork() noexcept;

    /// `child_after_fork()` leaves the parent's epoll set alone, ends what was armed with `broken`,
    /// on this thread, and makes the reactor as new. False if the fork met the reactor amid a batch
    /// function: what its client had not taken over by then is the client's to find.
    bool child_after_fork() noexcept;

    ReactorStats stats() const noexcept;

  private:
    using Lock = std::unique_lock<std::mutex>;  // as a parameter: the caller holds mutex_
    enum class Thread : std::uint8_t { none, running, ended };

    void run() noexcept;
    bool must_stop(const Lock&) const noexcept { return shut_down_ || forking_; }
    bool can_retire(const Lock&, TimePoint now) const noexcept;
    Duration prepare_to_sleep(const Lock&, TimePoint now) noexcept;
    void take_ready(const Lock&, std::span<const ReadyEvent> events) noexcept;
    void take_due(const Lock&) noexcept;

    ArmResult admit(const Lock&, const TimedWait& wait, std::size_t more) noexcept;
    void push(const Lock&, TimedWait& wait, TimePoint deadline) noexcept;
    bool disarm(const Lock&, TimedWait& wait) noexcept;
    void unlock_and_wake(Lock& lock, TimePoint earliest) noexcept;

    void end(const Lock&, TimedWait& wait, WaitEnd result) noexcept;
    void end(const Lock&, FdTable::Pair pair, WaitEnd result) noexcept;
    void end_all(const Lock&, WaitEnd result) noexcept;

    bool ensure_thread(const Lock&) noexcept;
    bool start_thread(const Lock&) noexcept;
    void join_ended_thread(const Lock&) noexcept;

    /// "The reactor will look at everything before it sleeps": no deadline is earlier than this.
    static constexpr TimePoint kAwake = TimePoint::min();

    const Clock& clock_;

    /// Guards everything below. Taken last: nothing that blocks happens under it, but for the join
    /// of a thread that has let go of it for the last time.
    mutable std::mutex mutex_;

    /// Told when the thread ends, a batch has been handed over, or a fork is done.
    std::condition_variable changed_;

    Poller poller_;
    FdTable fds_{poller_};
    TimerHeap heap_;
    HandOver ended_{changed_};

    ServiceThread thread_;
    Thread thread_state_ = Thread::none;
    bool shut_down_ = false;
    bool forking_ = false;  ///< a fork is under way: the thread stays away until it is done

    std::size_t armed_ = 0;
    TimePoint idle_until_ = kNever;   ///< when the thread retires if nothing is armed till then
    TimePoint wake_before_ = kAwake;  ///< an earlier deadline needs a wake; see reactor.cpp

    ReactorStats stats_;
};

}  // namespace gilpool::core
