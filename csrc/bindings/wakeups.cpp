// bindings/wakeups.cpp: the list of collected wake-ups, and the spin, park and leave of one waiter.
#include "bindings/wakeups.hpp"

#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include "bindings/spinning.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

/// A round trip to another thread and back takes 3-10 us without a sleep on either side, 40-60 us
/// with. Longer spins would burn more than they can save.
constexpr std::chrono::microseconds kSpin{20};

struct Collected {
    std::mutex mutex;
    PatientWaiter* first = nullptr;
    PatientWaiter* last = nullptr;
    /// When the first of them was collected, in ticks of the clock; 0: none is there.
    std::atomic<core::TimePoint::rep> since{0};
};

constinit Collected g_collected;
SpinHabit g_habit;
std::atomic<bool> g_somebody_spins{false};
constinit thread_local bool t_collects = false;

}  // namespace

void PatientWaiter::on_notify(core::Waiter& waiter) noexcept {
    auto& self = static_cast<PatientWaiter&>(waiter);
    // In the middle of a task this thread may not get round to waking for as long as the task runs.
    if (!t_collects || current_task() != nullptr) {
        self.wake();
        return;
    }
    const std::lock_guard lock(g_collected.mutex);
    self.place_ = Place::collected;
    self.previous_ = g_collected.last;
    self.next_ = nullptr;
    if (g_collected.last != nullptr) {
        g_collected.last->next_ = &self;
    } else {
        g_collected.first = &self;
        g_collected.since.store(core::monotonic_now().time_since_epoch().count());
    }
    g_collected.last = &self;
}

void PatientWaiter::wake() noexcept {
    // The waiter may be gone as soon as it reads kWoken, unless it is parked: then it stays for
    // kDone.
    if (wake_.exchange(kWoken) == kParked) {
        parker_.unpark();
        wake_.store(kDone);
    }
}

bool PatientWaiter::notified() noexcept {
    if (woken()) {
        return true;
    }
    const std::lock_guard lock(g_collected.mutex);
    return place_ != Place::nowhere;
}

core::ParkResult PatientWaiter::wait_until(core::TimePoint deadline) {
    if (woken()) {
        return core::ParkResult::unparked;
    }
    // One at a time: more would take the cores from those they wait for.
    if (!g_somebody_spins.exchange(true)) {
        const bool came = g_habit.try_until(kSpin, [this] { return woken(); });
        g_somebody_spins.store(false);
        if (came) {
            return core::ParkResult::unparked;
        }
    }
    int expected = kSpinning;
    if (!wake_.compare_exchange_strong(expected, kParked)) {
        return core::ParkResult::unparked;
    }
    const core::ParkResult result = parker_.park_until(deadline);
    expected = kParked;
    if (wake_.compare_exchange_strong(expected, kSpinning)) {
        return result;
    }
    while (wake_.load() != kDone) {  // the waker is about to have done with this waiter
        std::this_thread::yield();
    }
    return core::ParkResult::unparked;
}

void PatientWaiter::leave() noexcept {
    if (woken()) {
        return;
    }
    {
        const std::lock_guard lock(g_collected.mutex);
        if (place_ == Place::nowhere) {
            return;
        }
        if (place_ == Place::collected) {
            (previous_ != nullptr ? previous_->next_ : g_collected.first) = next_;
            (next_ != nullptr ? next_->previous_ : g_collected.last) = previous_;
            if (g_collected.first == nullptr) {
                g_collected.since.store(0);
            }
            return;
        }
    }
    while (!woken()) {  // somebody has it in hand and waits for nothing
        std::this_thread::yield();
    }
}

void collect_wakeups(bool collect) {
    t_collects = collect;
}

PromptWakeups::PromptWakeups() noexcept : collected_(std::exchange(t_collects, false)) {
    if (collected_) {
        wake_collected();
    }
}

PromptWakeups::~PromptWakeups() {
    t_collects = collected_;
}

void wake_collected() noexcept {
    if (g_collected.since.load() == 0) {
        return;
    }
    PatientWaiter* waiter = nullptr;
    {
        const std::lock_guard lock(g_collected.mutex);
        waiter = g_collected.first;
        for (PatientWaiter* each = waiter; each != nullptr; each = each->next_) {
            each->place_ = PatientWaiter::Place::in_hand;
        }
        g_collected.first = nullptr;
        g_collected.last = nullptr;
        g_collected.since.store(0);
    }
    while (waiter != nullptr) {
        PatientWaiter* const next = waiter->next_;  // read first: a woken waiter is gone
        waiter->wake();
        waiter = next;
    }
}

bool wakeups_are_overdue(core::TimePoint now) noexcept {
    const core::TimePoint::rep since = g_collected.since.load(std::memory_order_relaxed);
    return since != 0 && (now.time_since_epoch().count() - since) >=
                             core::TimePoint::duration(kOldestWakeup).count();
}

void forget_collected_wakeups() {
    new (&g_collected.mutex) std::mutex;
    g_collected.first = nullptr;
    g_collected.last = nullptr;
    g_collected.since.store(0);
    g_somebody_spins.store(false);
}

}  // namespace gilpool::bindings
