// core/waiters.cpp: the intrusive list of waiters.
#include "core/waiters.hpp"

namespace gilpool::core {

void WaitList::add(Waiter& waiter) noexcept {
    const std::lock_guard lock(mutex_);
    waiter.previous_ = last_;
    waiter.next_ = nullptr;
    (last_ != nullptr ? last_->next_ : first_) = &waiter;
    last_ = &waiter;
    waiter.listed_ = true;
}

Waiter* WaitList::unlink(Waiter& waiter) noexcept {
    (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
    (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
    waiter.listed_ = false;
    return &waiter;
}

bool WaitList::remove(Waiter& waiter) noexcept {
    const std::lock_guard lock(mutex_);
    if (!waiter.listed_) {
        return false;
    }
    unlink(waiter);
    return true;
}

void WaitList::notify_all() noexcept {
    const std::lock_guard lock(mutex_);
    while (first_ != nullptr) {
        Waiter* const waiter = unlink(*first_);
        waiter->notify_(*waiter);
    }
}

bool WaitList::notify_one() noexcept {
    const std::lock_guard lock(mutex_);
    if (first_ == nullptr) {
        return false;
    }
    Waiter* const waiter = unlink(*first_);
    waiter->notify_(*waiter);
    return true;
}

bool WaitList::empty() const noexcept {
    const std::lock_guard lock(mutex_);
    return first_ == nullptr;
}

ParkResult ThreadWaiter::wait_until(TimePoint deadline) noexcept {
    if (notified_.load()) {
        return ParkResult::unparked;
    }
    return parker_.park_until(deadline);
}

void ThreadWaiter::on_notify(Waiter& waiter) noexcept {
    auto& self = static_cast<ThreadWaiter&>(waiter);
    self.notified_.store(true);
    self.parker_.unpark();
}

}  // namespace gilpool::core
