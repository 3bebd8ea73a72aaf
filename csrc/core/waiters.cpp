// WaitList: a ring under a tiny lock; wake-ups are collected and done when the lock is free.
#include "core/waiters.hpp"

#include <algorithm>

#include "core/spin.hpp"

namespace gilpool::core {

namespace {
/// How the waits of this thread have gone; most threads wait for one kind of thing at a time.
thread_local SpinGuess spin_guess;
}  // namespace

ParkResult ThreadWaiter::wait_until(TimePoint deadline) {
    if (seen_) {
        return ParkResult::unparked;
    }
    const bool spins = !spun_ && deadline != TimePoint::min();
    const bool soon =
        parker_.has_permit() ||
        (spins && spin_until(deadline, [this]() noexcept { return parker_.has_permit(); }));
    const ParkResult result = parker_.park_until(deadline);
    seen_ = result == ParkResult::unparked;
    if (seen_ && spun_ && !soon) {
        spin_guess.learn(here_, told_on_, std::chrono::steady_clock::now() - began_);
    }
    return result;
}

SpinBudget ThreadWaiter::begin_spin(TimePoint deadline) noexcept {
    spun_ = true;
    here_ = core_of_this_thread();
    began_ = std::chrono::steady_clock::now();
    return SpinBudget(std::min(spin_guess.limit(kSpin, kPatientSpin), deadline - began_), began_);
}

const std::atomic<std::uint32_t>* ThreadWaiter::leave_permit() noexcept {
    told_on_ = core_of_this_thread();
    return parker_.leave_permit();
}

void ThreadWaiter::on_notify(Waiter& waiter) noexcept {
    if (const auto* word = static_cast<ThreadWaiter&>(waiter).leave_permit()) {
        Parker::wake(word);
    }
}

WaitList::~WaitList() {
    // Whoever saw the outcome without the lock may be here while the notifier still holds it.
    if (!lock_.free()) {
        lock_.lock();
        lock_.unlock();
    }
}

void WaitList::add(Waiter& waiter) noexcept {
    Section(*this).add(waiter);
}

bool WaitList::remove(Waiter& waiter) noexcept {
    return Section(*this).remove(waiter);
}

void WaitList::notify_all() noexcept {
    Section(*this).notify_all();
}

bool WaitList::notify_one() noexcept {
    return Section(*this).notify_one();
}

void WaitList::unlink(Waiter& waiter) noexcept {
    if (waiter.next_ == &waiter) {
        last_ = nullptr;
    } else {
        waiter.previous_->next_ = waiter.next_;
        waiter.next_->previous_ = waiter.previous_;
        if (last_ == &waiter) {
            last_ = waiter.previous_;
        }
    }
    waiter.next_ = nullptr;
}

WaitList::Section::Section(WaitList& list) noexcept : list_(list) {
    list.lock_.lock();
    if (list.generation_ != fork_generation()) {
        list.last_ = nullptr;
        list.generation_ = fork_generation();
    }
}

WaitList::Section::~Section() {
    list_.lock_.unlock();
    for (int i = 0; i < wakes_; ++i) {
        Parker::wake(wake_[i]);
    }
}

void WaitList::Section::add(Waiter& waiter) noexcept {
    waiter.generation_ = fork_generation();
    if (Waiter* const last = list_.last_) {
        waiter.previous_ = last;
        waiter.next_ = last->next_;
        waiter.next_->previous_ = &waiter;
        last->next_ = &waiter;
    } else {
        waiter.previous_ = waiter.next_ = &waiter;
    }
    list_.last_ = &waiter;
}

bool WaitList::Section::remove(Waiter& waiter) noexcept {
    if (waiter.next_ == nullptr || waiter.generation_ != list_.generation_) {
        return false;
    }
    list_.unlink(waiter);
    return true;
}

void WaitList::Section::notify_all() noexcept {
    while (notify_one()) {
    }
}

bool WaitList::Section::notify_one() noexcept {
    if (list_.last_ == nullptr) {
        return false;
    }
    Waiter& first = *list_.last_->next_;
    list_.unlink(first);
    if (first.notify_ != &ThreadWaiter::on_notify) {
        first.notify_(first);
        return true;
    }
    if (const auto* word = static_cast<ThreadWaiter&>(first).leave_permit()) {
        if (wakes_ < kWakesKept) {
            wake_[wakes_++] = word;
        } else {
            Parker::wake(word);
        }
    }
    return true;
}

}  // namespace gilpool::core
