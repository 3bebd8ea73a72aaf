// Sleeps and descriptor waits without a thread each: one lazy thread for all of them.
// Any thread may call this, with or without the GIL; one small mutex, not held during a callback.
//
// Why it is right
// ---------------
// All state is plain and guarded by mutex_; there is no atomic, hence no memory order, to argue.
//
// Arm, cancel, fire. A wait is idle, armed (in heap_ or fds_ or both) or ended (in ended_, or
// handed over by it). Armed becomes ended (take_due, take_ready, forget, end_all) or idle (disarm)
// under mutex_ and only if the state, read under the same lock, is armed. So exactly one of them
// wins, and all others see that it has. Before the lock is released a wait that won is out of heap_
// and fds_; what the kernel still says about its descriptor finds no one. What has ended is
// ended_'s; see HandOver for how it leaves, and what cancel waits for.
//
// No lost wake-up. While the thread sleeps, wake_before_ is when it will wake by itself. Who arms
// something earlier, or has anything else for it, sets it to kAwake in the same critical section
// and wakes the poller after. The poller remembers a wake that comes before the wait, so the thread
// takes the lock and looks at everything again. Whoever sees kAwake relies on that: either the
// thread is awake and takes the lock once more before it sleeps, or a wake is on its way. The wake
// is sent without the lock, else the thread would wake only to queue for it; the poller stays open
// until the destructor, when no call is left that could still be about to send one.
#include "core/reactor.hpp"

#include <algorithm>
#include <bit>
#include <cassert>

namespace gilpool::core {
namespace {

/// The most timers that one round takes, and the most waits that arm_many arms under one lock: it
/// bounds how long others wait for the mutex (about 0.1 us a wait).
constexpr std::size_t kMostPerLock = 4096;

/// The most descriptor events that one round takes.
constexpr std::size_t kMostEvents = 512;

}  // namespace

ReactorClient Reactor::add_client(BatchFunction function, void* context) {
    const Lock lock(mutex_);
    return ended_.add_client(function, context);
}

// ---- arm and cancel ----

ArmResult Reactor::arm(TimedWait& wait, TimePoint deadline) noexcept {
    Lock lock(mutex_);
    const ArmResult result = admit(lock, wait, 1);
    if (result == ArmResult::armed) {
        push(lock, wait, deadline);
        unlock_and_wake(lock, deadline);
    }
    return result;
}

Reactor::ArmedMany Reactor::arm_many(std::span<const Arming> armings) noexcept {
    std::size_t armed = 0;
    while (armed < armings.size()) {
        const auto some = armings.subspan(armed, std::min(armings.size() - armed, kMostPerLock));
        Lock lock(mutex_);
        TimePoint earliest = kNever;
        ArmResult result = ArmResult::armed;
        for (std::size_t i = 0; i < some.size(); ++i, ++armed) {
            result = admit(lock, *some[i].wait, some.size() - i);
            if (result != ArmResult::armed) {
                break;
            }
            push(lock, *some[i].wait, some[i].deadline);
            earliest = std::min(earliest, some[i].deadline);
        }
        unlock_and_wake(lock, earliest);
        if (result != ArmResult::armed) {
            return {armed, result};
        }
    }
    return {armed, ArmResult::armed};
}

ArmResult Reactor::arm_fd(FdWait& wait, TimePoint deadline) noexcept {
    Lock lock(mutex_);
    ArmResult result = admit(lock, wait, 1);
    if (result != ArmResult::armed) {
        return result;
    }
    FdTable::Pair gone;
    result = fds_.add(wait, gone);
    end(lock, gone, WaitEnd::closed);
    if (result == ArmResult::armed) {
        push(lock, wait, deadline);
    }
    unlock_and_wake(lock, result == ArmResult::armed ? deadline : kNever);
    return result;
}

ArmResult Reactor::admit(const Lock& lock, const TimedWait& wait, std::size_t more) noexcept {
    if (shut_down_) {
        return ArmResult::shut_down;
    }
    if (wait.state_ == TimedWait::State::armed) {
        return ArmResult::busy;
    }
    if (!heap_.reserve(heap_.size() + more) || !ensure_thread(lock)) {
        return ArmResult::no_resources;
    }
    return ArmResult::armed;
}

void Reactor::push(const Lock&, TimedWait& wait, TimePoint deadline) noexcept {
    // A descriptor without a deadline needs no place in the heap: fds_ holds it.
    if (!wait.on_descriptor() || deadline != kNever) {
        heap_.push(wait, deadline);
    }
    wait.state_ = TimedWait::State::armed;
    ++armed_;
}

void Reactor::unlock_and_wake(Lock& lock, TimePoint earliest) noexcept {
    const bool wake = (earliest < wake_before_ || !ended_.empty()) && wake_before_ != kAwake;
    if (wake) {
        wake_before_ = kAwake;
        ++stats_.wakes_sent;
    }
    lock.unlock();
    if (wake) {
        poller_.wake();
    }
}

bool Reactor::disarm(const Lock&, TimedWait& wait) noexcept {
    if (wait.state_ != TimedWait::State::armed) {
        return false;
    }
    heap_.remove(wait);
    if (wait.on_descriptor()) {
        fds_.remove(static_cast<FdWait&>(wait));
    }
    wait.state_ = TimedWait::State::idle;
    ++stats_.cancelled;
    if (--armed_ == 0) {
        idle_until_ = deadline_after(clock_.now(), kIdleTime);
    }
    return true;
}

bool Reactor::try_cancel(TimedWait& wait) noexcept {
    Lock lock(mutex_);
    const bool won = disarm(lock, wait);
    // The last wait has gone: the thread may have to wake earlier than it meant to, for retiring.
    unlock_and_wake(lock, armed_ == 0 ? idle_until_ : kNever);
    return won;
}

bool Reactor::cancel(TimedWait& wait) noexcept {
    if (try_cancel(wait)) {
        return true;
    }
    Lock lock(mutex_);
    if (wait.state_ == TimedWait::State::ended && !ended_.by_this_thread()) {
        ended_.wait_for_all(lock);
    }
    return false;
}

void Reactor::forget(int fd) noexcept {
    Lock lock(mutex_);
    end(lock, fds_.forget(fd), WaitEnd::closed);
    unlock_and_wake(lock, kNever);
}

void Reactor::look_again() noexcept {
    Lock lock(mutex_);
    unlock_and_wake(lock, kAwake);
}

// ---- the reactor's thread ----

void Reactor::run() noexcept {
    std::array<ReadyEvent, kMostEvents> events;
    Lock lock(mutex_);
    // At least one round even if the thread must stop at once: sleeps end also in a program that
    // forks all the time.
    do {
        const TimePoint now = clock_.now();
        if (can_retire(lock, now)) {
            break;
        }
        const Duration timeout = prepare_to_sleep(lock, now);
        lock.unlock();
        const std::size_t count = poller_.wait(timeout, events);
        lock.lock();
        wake_before_ = kAwake;
        ++stats_.wake_ups;
        take_ready(lock, std::span(events).first(count));
        take_due(lock);
        ended_.deliver(lock);
        heap_.give_back_memory();
    } while (!must_stop(lock));
    thread_state_ = Thread::ended;
    changed_.notify_all();
}

bool Reactor::can_retire(const Lock&, TimePoint now) const noexcept {
    return armed_ == 0 && ended_.empty() && now >= idle_until_;
}

Duration Reactor::prepare_to_sleep(const Lock& lock, TimePoint now) noexcept {
    // The clock was read under this very lock: whoever moves it by hand and then finds kAwake knows
    // that it will be read again.
    const TimePoint deadline = armed_ == 0 ? idle_until_ : heap_.earliest();
    if (must_stop(lock) || !ended_.empty() || deadline <= now) {
        return Duration::zero();
    }
    wake_before_ = deadline;
    return deadline == kNever || !clock_.runs_by_itself() ? Poller::kForever : deadline - now;
}

void Reactor::take_ready(const Lock& lock, std::span<const ReadyEvent> events) noexcept {
    for (const ReadyEvent& event : events) {
        FdTable::Pair gone;
        end(lock, fds_.on_event(event, gone), WaitEnd::ready);
        end(lock, gone, WaitEnd::closed);
    }
}

void Reactor::take_due(const Lock& lock) noexcept {
    const TimePoint now = clock_.now();
    for (std::size_t taken = 0; taken < kMostPerLock && !heap_.empty(); ++taken) {
        const Duration late = now - heap_.earliest();
        if (late < Duration::zero()) {
            return;
        }
        auto& wait = static_cast<TimedWait&>(*heap_.pop());
        if (wait.on_descriptor()) {
            fds_.remove(static_cast<FdWait&>(wait));
        }
        const auto microseconds = static_cast<std::uint64_t>(late / std::chrono::microseconds(1));
        const auto bucket = static_cast<std::size_t>(std::bit_width(microseconds));
        ++stats_.lateness[std::min(bucket, ReactorStats::kBuckets - 1)];
        stats_.lateness_max = std::max(stats_.lateness_max, late);
        end(lock, wait, WaitEnd::due);
    }
}

void Reactor::end(const Lock&, TimedWait& wait, WaitEnd result) noexcept {
    assert(wait.state_ == TimedWait::State::armed);
    heap_.remove(wait);
    ended_.add(wait, result);
    const bool fired = result == WaitEnd::due || result == WaitEnd::ready;
    ++(fired ? stats_.fired : stats_.dropped);
    if (--armed_ == 0) {
        idle_until_ = deadline_after(clock_.now(), kIdleTime);
    }
}

void Reactor::end(const Lock& lock, FdTable::Pair pair, WaitEnd result) noexcept {
    for (FdWait* const wait : {pair.reader, pair.writer}) {
        if (wait != nullptr) {
            end(lock, *wait, result);
        }
    }
}

void Reactor::end_all(const Lock& lock, WaitEnd result) noexcept {
    heap_.drain([&](TimerNode& node) {
        auto& wait = static_cast<TimedWait&>(node);
        if (wait.on_descriptor()) {
            fds_.remove(static_cast<FdWait&>(wait));
        }
        end(lock, wait, result);
    });
    fds_.drain([&](FdWait& wait) { end(lock, wait, result); });
    heap_.give_back_memory();
}

ReactorStats Reactor::stats() const noexcept {
    const Lock lock(mutex_);
    ReactorStats stats = stats_;
    stats.armed = armed_;
    stats.armed_descriptors = fds_.size();
    stats.batches = ended_.begun();
    stats.has_thread = thread_state_ == Thread::running;
    stats.asleep = wake_before_ != kAwake;
    return stats;
}

}  // namespace gilpool::core
