// TaskGroup: a latch and a chain of tasks.
#include "core/group.hpp"

#include <utility>

namespace gilpool::core {

bool TaskGroup::submit(Task& task, Lane lane) {
    Task* const one[] = {&task};
    return submit_many(one, lane) == 1;
}

std::size_t TaskGroup::submit_many(std::span<Task* const> tasks, Lane lane) {
    for (Task* const task : tasks) {
        task->group_ = this;
    }
    count_in_advance(tasks.size());
    const std::size_t accepted = pool_.submit_many(tasks, lane);
    for (Task* const task : tasks.first(accepted)) {
        task->next_in_group_ = newest_;
        newest_ = task;
    }
    for (Task* const task : tasks.subspan(accepted)) {
        task->group_ = nullptr;
    }
    unused_ += tasks.size() - accepted;
    return accepted;
}

void TaskGroup::count_in_advance(std::size_t tasks) noexcept {
    if (unused_ < tasks) {
        pending_.add(tasks + kInAdvance);
        unused_ += tasks + kInAdvance;
    }
    unused_ -= tasks;
}

void TaskGroup::help() {
    while (Task* const task = newest_) {
        newest_ = task->next_in_group_;
        task->run_here();
    }
}

WaitResult TaskGroup::wait_until(TimePoint deadline) {
    if (deadline == kNever || !pool_.can_run_queued()) {
        help();
    }
    if (unused_ != 0) {
        pending_.count_down(std::exchange(unused_, 0));
    }
    const WaitResult result = pending_.wait_until(deadline);
    if (result == WaitResult::finished || result == WaitResult::abandoned) {
        newest_ = nullptr;
    }
    return result;
}

WaitResult TaskGroup::wait() {
    while (true) {
        const WaitResult result = wait_until(kNever);
        if (result == WaitResult::finished || result == WaitResult::abandoned) {
            return result;
        }
    }
}

}  // namespace gilpool::core
