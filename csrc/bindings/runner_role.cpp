// bindings/runner_role.cpp: what a runner does between two tasks, and how its role ends. GIL held.
#include "bindings/admission.hpp"
#include "bindings/admission_state.hpp"
#include "bindings/computing.hpp"
#include "bindings/courtesy.hpp"
#include "bindings/wakeups.hpp"

namespace gilpool::bindings {

namespace {

std::uint64_t g_tasks_begun = 0;  // GIL

/// A task has ended: one runner fewer, or the queue moves beside the others. When that took back
/// all admissions, two came in for each task of 0.1 s or more that ended: in the end 9-14 took
/// turns.
void take_back_an_admission() {
    const int admissions = g_admission.admissions.load(std::memory_order_relaxed);
    if (admissions > 0) {
        g_admission.admissions.store(admissions - 1, std::memory_order_relaxed);
    }
}

}  // namespace

void begin_task(Runner* runner) {
    runner->task.store(++g_tasks_begun, std::memory_order_relaxed);
    list_runner(runner);
}

bool is_active(const Runner* runner) {
    return runner->term == g_admission.term;
}

bool goes_on_after_task(Runner* runner) {
    runner->task.store(0, std::memory_order_relaxed);
    take_back_an_admission();
    const bool looks_at_clock = runner->clock.is_due();
    const core::TimePoint now = looks_at_clock ? runner->clock.read() : core::TimePoint{};
    if (looks_at_clock) {
        note_progress(now);
    }
    const bool tasks_block = g_admission.mode.tasks_block();
    const bool was_active = runner->term == g_admission.term;
    const int others = g_admission.active.load(std::memory_order_relaxed) - (was_active ? 1 : 0);
    // Who comes back from blocking takes the next task, but not from computing amid too many: there
    // would be as many for good as ever came in.
    if (others > 0 && (!tasks_block || (looks_at_clock && others_take_the_cores(runner, now)))) {
        ++g_admission.counters.parked;
        return false;
    }
    if (!was_active) {
        runner->term = g_admission.term;
        g_admission.active.store(others + 1);
        ++g_admission.counters.continued;
        restart_courtesy_clock();
    }
    if (tasks_block || (looks_at_clock && wakeups_are_overdue(now))) {
        wake_collected();
    }
    if (looks_at_clock && was_active && work_is_queued()) {
        tasks_block ? offer_gil_if_kept(now) : offer_gil_between_tasks(now);
        // Meanwhile a spare may have taken over; two that compute would only take turns.
        if (runner->term != g_admission.term && !g_admission.mode.tasks_block() &&
            g_admission.active.load() > 0) {
            ++g_admission.counters.parked;
            return false;
        }
    }
    return true;
}

void step_down(Runner* runner) {
    if (runner->term == g_admission.term) {
        g_admission.active.store(g_admission.active.load(std::memory_order_relaxed) - 1);
    }
    runner->term = 0;
    runner->task.store(0, std::memory_order_relaxed);
    g_admission.serving.fetch_sub(1, std::memory_order_relaxed);
}

void lend_runner_role() {
    if (!is_runner_thread()) {
        return;
    }
    Runner* const runner = own_runner();
    if (runner->term == g_admission.term) {
        g_admission.active.store(g_admission.active.load(std::memory_order_relaxed) - 1);
        runner->term = 0;
        if (work_is_queued()) {
            hurry_spare();
        }
    }
}

int active_runners() {
    return g_admission.active.load(std::memory_order_relaxed);
}

int serving_runners() {
    return g_admission.serving.load(std::memory_order_relaxed);
}

}  // namespace gilpool::bindings
