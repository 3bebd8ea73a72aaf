// TaskGroup: a latch and a chain of tasks.
#include "core/group.hpp"

namespace gilpool::core {

bool TaskGroup::submit(Task& task, Lane lane) {
    Task* const one[] = {&task};
    return submit_many(one, lane) == 1;
}

std::size_t TaskGroup::submit_many(std::span<Task* const> tasks, Lane lane) {
    for (Task* const task : tasks) {
        task->group_ = this;
    }
    pending_.add(tasks.size());
    const std::size_t accepted = pool_.submit_many(tasks, lane);
    for (Task* const task : tasks.first(accepted)) {
        task->next_in_group_ = newest_;
        newest_ = task;
    }
    for (Task* const task : tasks.subspan(accepted)) {
        task->group_ = nullptr;
    }
    if (accepted < tasks.size()) {
        pending_.count_down(tasks.size() - accepted);
    }
    return accepted;
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
