// bindings/native_work.cpp: the list of what is over, its delivery, and kill.
#include "bindings/native_work.hpp"

#include <atomic>
#include <new>

#include "bindings/compat.hpp"
#include "bindings/courtesy.hpp"
#include "bindings/gil.hpp"
#include "bindings/kernel_type.hpp"
#include "bindings/native_waits.hpp"
#include "bindings/task_run.hpp"
#include "bindings/task_type.hpp"
#include "bindings/wakeups.hpp"
#include "core/fork.hpp"
#include "core/pool.hpp"

namespace gilpool::bindings {

namespace {

/// How many deliveries are made before others may have the GIL: some 50 us.
constexpr int kBatch = 256;

/// What is over, the latest first.
std::atomic<NativeWork*> g_over{nullptr};

/// Invariant: while something is on the list, this is set or somebody is on the way to set it, and
/// while it is set a job that will look at the list is queued or running.
std::atomic<bool> g_deliverer_called{false};

void deliver_all(void*);

void call_deliverer() noexcept {
    if (g_deliverer_called.exchange(true)) {
        return;
    }
    bool posted = false;
    try {
        posted = core::Pool::process().post(&deliver_all, nullptr, core::Lane::blocking);
    } catch (const std::bad_alloc&) {
    }
    if (!posted) {
        g_deliverer_called.store(false);  // the next one to hand over tries again
    }
}

/// Everything on the list, the earliest first.
NativeWork* take_all() {
    NativeWork* latest_first = g_over.exchange(nullptr);
    NativeWork* earliest_first = nullptr;
    while (latest_first != nullptr) {
        NativeWork* const following = latest_first->next_over;
        latest_first->next_over = earliest_first;
        earliest_first = latest_first;
        latest_first = following;
    }
    return earliest_first;
}

/// Delivers up to kBatch and returns the rest. In a child that a delivery's destructor forked there
/// is no rest: it belongs to the parent.
NativeWork* deliver_batch(NativeWork* work) {
    const std::uint32_t generation = core::fork_generation();
    for (int i = 0; i < kBatch && work != nullptr; ++i) {
        NativeWork* const following = work->next_over;
        work->deliver();
        work = following;
        if (generation != core::fork_generation()) {
            return nullptr;
        }
    }
    return work;
}

void let_others_have_the_gil() {
    PyThreadState* state = nullptr;
    if (wakeups_are_overdue(core::monotonic_now())) {
        wake_collected();
    }
    if (release_to_waiter(&state) != Release::nobody_waited) {
        PyEval_RestoreThread(state);
    }
}

/// A worker's job. No destructor may stand in this frame: taking the GIL may unwind it.
void deliver_all(void*) {
    WorkerThreadState::attach();
    collect_wakeups(true);
    do {
        NativeWork* work = take_all();
        while (work != nullptr) {
            work = deliver_batch(work);
            let_others_have_the_gil();
        }
        g_deliverer_called.store(false);
        // Whoever put something on the list before that relied on this job.
    } while (g_over.load() != nullptr && !g_deliverer_called.exchange(true));
    collect_wakeups(false);
    WorkerThreadState::detach();
    wake_collected();
}

}  // namespace

void hand_over(NativeWork* latest, NativeWork* earliest) noexcept {
    NativeWork* before = g_over.load();
    do {
        earliest->next_over = before;
    } while (!g_over.compare_exchange_weak(before, latest));
    call_deliverer();
}

void prepare_native_work(TaskObject* task) {
    if (task->native != nullptr) {
        return;
    }
    NativeWork* work = nullptr;
    if (Py_TYPE(task->function) == kernel_type) {
        work = kernel_work_for(task);
    } else if (is_native_wait(task->function)) {
        work = wait_work_for(task);
    }
    if (work == nullptr) {
        return;
    }
    if (task->state != TaskState::fresh || task->native != nullptr) {
        delete work;  // converting its arguments has let somebody else start, or prepare, the task
        return;
    }
    task->native = work;
    work->task = task;
}

void drop_prepared_work(TaskObject* task) {
    NativeWork* const work = task->native;
    task->native = nullptr;
    delete work;
}

void kill_native(TaskObject* task, PyObject* exception) {
    Py_XSETREF(task->kill_with, exception);
    NativeWork* const work = task->native;
    if (work == nullptr) {
        return;  // dropping the exception of an earlier kill has let the task end
    }
    if (work->end()) {
        end_native_task(task, nullptr);
        delete work;
        return;
    }
    work->limit_time();
}

void forget_native_work() {
    g_over.store(nullptr);
    g_deliverer_called.store(false);
}

}  // namespace gilpool::bindings
