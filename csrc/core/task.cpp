// Task: the claim protocol's atomic steps, and the waits that are built on them.
#include "core/task.hpp"

#include <algorithm>
#include <cassert>
#include <memory>

#include "core/blocking_region.hpp"
#include "core/group.hpp"
#include "core/pool.hpp"

namespace gilpool::core {

TaskState Task::state_in(std::uint32_t word) noexcept {
    const auto state = static_cast<TaskState>(word & kStateMask);
    const bool pending = state == TaskState::queued || state == TaskState::claimed;
    // Compared as the shifted word, whose upper bits are lost alike on both sides.
    const bool inherited = word >> kGenerationShift << kGenerationShift != fork_generation()
                                                                               << kGenerationShift;
    return pending && inherited ? TaskState::abandoned : state;
}

Task::~Task() {
    assert(state() != TaskState::queued && state() != TaskState::claimed);
}

void Task::enqueue() noexcept {
    const std::uint32_t queued =
        fork_generation() << kGenerationShift | static_cast<std::uint32_t>(TaskState::queued);
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    // A waiter may be adding itself at this moment, hence no plain store.
    while (!word_.compare_exchange_weak(seen, queued | (seen & kHasWaiters),
                                        std::memory_order_release, std::memory_order_relaxed)) {
    }
}

bool Task::claim() noexcept {
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    while (state_in(seen) == TaskState::queued) {
        const std::uint32_t claimed =
            (seen & ~kStateMask) | static_cast<std::uint32_t>(TaskState::claimed);
        if (word_.compare_exchange_weak(seen, claimed, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

void Task::finish(TaskState outcome) noexcept {
    TaskGroup* const group = group_;
    group_ = nullptr;
    std::uint32_t seen = word_.load(std::memory_order_relaxed);
    const std::uint32_t last =
        fork_generation() << kGenerationShift | static_cast<std::uint32_t>(outcome);
    // Without waiters this one step is the last touch. It fails only if one has just come.
    while ((seen & kHasWaiters) == 0) {
        if (word_.compare_exchange_weak(seen, last, std::memory_order_release,
                                        std::memory_order_relaxed)) {
            break;
        }
    }
    if ((seen & kHasWaiters) != 0) {
        // The list's lock is held from before the outcome can be seen until the last waiter is
        // told; ~WaitList() waits for it, so the owner cannot free the list under this thread.
        WaitList::Section waiters(waiters_);
        word_.store(last, std::memory_order_release);
        waiters.notify_all();
    }
    if (group != nullptr) {
        group->pending_.count_down();
    }
}

void Task::run_claimed() {
    function_(*this);
    finish(TaskState::done);
}

bool Task::add_waiter(Waiter& waiter) noexcept {
    WaitList::Section waiters(waiters_);
    std::uint32_t seen = word_.load(std::memory_order_acquire);
    do {
        if (state_in(seen) >= TaskState::done) {
            return false;
        }
    } while (!word_.compare_exchange_weak(seen, seen | kHasWaiters, std::memory_order_acq_rel,
                                          std::memory_order_acquire));
    waiters.add(waiter);
    return true;
}

bool Task::cancel() noexcept {
    if (state() != TaskState::queued || !pool_->take_back(*this)) {
        return false;
    }
    finish(TaskState::cancelled);
    return true;
}

bool Task::run_here() {
    if (state() != TaskState::queued || !pool_->take_back(*this)) {
        return false;
    }
    run_claimed();
    return true;
}

WaitResult Task::wait_until(TimePoint deadline) {
    if (deadline == kNever) {
        run_here();
    }
    const auto outcome = [this] {
        return state() == TaskState::abandoned ? WaitResult::abandoned : WaitResult::finished;
    };
    ThreadWaiter waiter;
    if (deadline != TimePoint::min() &&
        waiter.spin_until(deadline, [this]() noexcept { return finished(); })) {
        return outcome();
    }
    // A worker that is free would have begun it by now.
    if (state() == TaskState::queued && !pool_->can_run_queued()) {
        run_here();
    }
    if (!add_waiter(waiter)) {
        return outcome();
    }
    ParkResult parked;
    {
        BlockingRegion region;
        parked = waiter.wait_until(deadline);
    }
    if (parked == ParkResult::unparked || !remove_waiter(waiter)) {
        return outcome();
    }
    return parked == ParkResult::interrupted ? WaitResult::interrupted : WaitResult::timed_out;
}

WaitResult Task::wait() {
    while (true) {
        const WaitResult result = wait_until(kNever);
        if (result == WaitResult::finished || result == WaitResult::abandoned) {
            return result;
        }
    }
}

WaitResult wait_all(std::span<Task* const> tasks, TimePoint deadline) {
    WaitResult worst = WaitResult::finished;
    for (Task* const task : tasks) {
        const WaitResult result = task->wait_until(deadline);
        if (result == WaitResult::timed_out || result == WaitResult::interrupted) {
            return result;
        }
        if (result == WaitResult::abandoned) {
            worst = result;
        }
    }
    return worst;
}

namespace {

/// One of the waiters of wait_any(): tells the thread that waits for all of them.
struct Branch : Waiter {
    Branch() noexcept : Waiter(&Branch::on_notify) {}
    static void on_notify(Waiter& waiter) noexcept {
        static_cast<Branch&>(waiter).parker->unpark();
    }
    Parker* parker = nullptr;
};

}  // namespace

AnyFinished wait_any(std::span<Task* const> tasks, TimePoint deadline) {
    assert(!tasks.empty());
    const auto finished = [&](std::size_t count) {
        return std::find_if(tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(count),
                            [](Task* task) { return task->finished(); });
    };
    const auto found = [&](std::size_t index) {
        const bool lost = tasks[index]->state() == TaskState::abandoned;
        return AnyFinished{lost ? WaitResult::abandoned : WaitResult::finished, index};
    };
    if (const auto one = finished(tasks.size()); one != tasks.end()) {
        return found(static_cast<std::size_t>(one - tasks.begin()));
    }
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        if (tasks[i]->state() == TaskState::queued && !tasks[i]->pool_->can_run_queued() &&
            tasks[i]->run_here()) {
            return found(i);
        }
    }
    Parker parker;
    const auto branches = std::make_unique<Branch[]>(tasks.size());
    std::size_t added = 0;
    for (; added < tasks.size(); ++added) {
        branches[added].parker = &parker;
        if (!tasks[added]->add_waiter(branches[added])) {
            break;
        }
    }
    ParkResult parked = ParkResult::unparked;
    if (added == tasks.size()) {
        BlockingRegion region;
        parked = parker.park_until(deadline);
    }
    // remove_waiter() passes through each list's lock: no notifier is left that could touch
    // `parker`.
    for (std::size_t i = 0; i < added; ++i) {
        tasks[i]->remove_waiter(branches[i]);
    }
    if (const auto one = finished(tasks.size()); one != tasks.end()) {
        return found(static_cast<std::size_t>(one - tasks.begin()));
    }
    return {parked == ParkResult::interrupted ? WaitResult::interrupted : WaitResult::timed_out, 0};
}

}  // namespace gilpool::core
