// bindings/kernel_work.cpp: a kernel's way over its lane and back.
#include "bindings/kernel_work.hpp"

#include <chrono>

#include "bindings/cpu_clock.hpp"
#include "bindings/reactor_work.hpp"
#include "bindings/task_run.hpp"
#include "bindings/task_type.hpp"

namespace gilpool::bindings {

namespace {

/// How long killed work may take to stop by itself before its task is ended without it. Together
/// with the look of whoever waits this stays below 50 ms.
constexpr std::chrono::milliseconds kStopsWithin{30};

}  // namespace

/// Ends the task of killed work that does not stop in time. Goes with its work, unless it is on the
/// way already: then it finds none.
class Ultimatum final : public TimerWork {
  public:
    explicit Ultimatum(KernelWork& work) : work_(&work) {}

    void withdraw() {
        work_ = nullptr;
        if (end()) {
            delete this;
        }
    }

    void deliver() override {
        if (work_ != nullptr) {
            work_->ultimatum_ = nullptr;
            if (work_->task != nullptr) {
                end_native_task(work_->task, nullptr);
            }
        }
        delete this;
    }

  private:
    KernelWork* work_;
};

KernelWork::~KernelWork() {
    if (ultimatum_ != nullptr) {
        ultimatum_->withdraw();
    }
}

void KernelWork::limit_time() {
    if (ultimatum_ != nullptr) {
        return;  // killed twice
    }
    ultimatum_ = new Ultimatum(*this);
    if (!ultimatum_->arm(core::monotonic_now() + kStopsWithin)) {
        ultimatum_->deliver();
    }
}

KernelWork::KernelWork(core::Lane lane) : core::Task(&KernelWork::on_lane), lane_(lane) {}

void KernelWork::on_lane(core::Task& self) {
    auto& work = static_cast<KernelWork&>(self);
    const kernels::Stop stop(work.stop_);
    const TracedNativeWork traced(work.trace_);
    if (!work.measured_) {
        work.run(stop);
        return;
    }
    const std::int64_t cpu_before = thread_cpu_ns();
    work.begin_ = core::monotonic_now();
    work.run(stop);
    work.over_ = core::monotonic_now();
    work.cpu_ns_ = thread_cpu_ns() - cpu_before;
}

void KernelWork::HandOver::on_notify(core::Waiter& waiter) noexcept {
    KernelWork& work = static_cast<HandOver&>(waiter).work_;
    hand_over(&work, &work);
}

NativeWork::Start KernelWork::start(bool measured) {
    measured_ = measured;
    trace_ = trace_native_spawned(task);
    add_waiter(hand_over_);
    if (core::Pool::process().submit(*this, lane_)) {
        return Start::started;
    }
    forget(hand_over_);
    return Start::failed;
}

bool KernelWork::end() {
    ask_to_stop();
    if (!remove_waiter(hand_over_)) {
        return false;  // it is on the list of what is over
    }
    // Over already, though nobody has been told yet, or never to be begun; else it tells again.
    return cancel() || !add_waiter(hand_over_);
}

void KernelWork::keep_times() {
    if (measured_ && begin_ != core::TimePoint{}) {
        TaskTimes& times = *task->times;
        times.queued = (begin_ - times.spawned).count();
        times.wall = (over_ - begin_).count();
        times.cpu = cpu_ns_;
    }
}

void KernelWork::deliver() {
    if (task != nullptr) {
        keep_times();
        end_native_task(task, result(false));
    }
    delete this;
}

bool KernelWork::send(core::Waiter& waiter, bool at_once) {
    add_waiter(waiter);
    if (core::Pool::process().submit(*this, at_once ? core::Lane::blocking : lane_)) {
        return true;
    }
    forget(waiter);
    return false;
}

bool KernelWork::abandon() {
    return cancel() || !add_waiter(hand_over_);
}

}  // namespace gilpool::bindings
