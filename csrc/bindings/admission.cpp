// bindings/admission.cpp: the spare's way in, and the runner's way out.
//
// Taking over: the spare begins a new term. Runners of older terms are not active: they block, or
// wait for the GIL behind the new one, which cannot be told apart and need not be. A runner that
// finishes a task in an old term either joins the present one or ends its role.
#include "bindings/admission.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>

#include "bindings/computing.hpp"
#include "bindings/courtesy.hpp"
#include "bindings/gil.hpp"
#include "bindings/gil_words.hpp"
#include "bindings/mode.hpp"
#include "bindings/spinning.hpp"
#include "bindings/trace.hpp"
#include "bindings/wakeups.hpp"
#include "core/parker.hpp"

namespace gilpool::bindings {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

/// A runner that wants to keep the GIL is forced off it after CPython's switch interval of 5 ms, so
/// who got it clearly sooner found it free. With a patience of 0.5 ms a wait behind many sleepers
/// that come back reads as a computing runner: 0.75 instead of 0.89 of the best pool on mixed
/// tasks.
constexpr microseconds kForcedAfter{4'500};
constexpr milliseconds kSwitchInterval{5};
/// A GIL that is free for this long is not just between two hands.
constexpr microseconds kSeenFreeFor{30};
/// A spare that waited this long among workers that come back from blocking was one contender more
/// for a GIL that is used up; so the next one lets as much time pass before it asks. With 0.1 ms
/// waits (0.96 -> 1.01 of the best pool) fewer threads do the same work; four times the wait, up to
/// 2 ms, was too long for mixed tasks (1.05 -> 0.96).
constexpr microseconds kContended{100};
constexpr microseconds kLongestPause{500};
constexpr nanoseconds kNoPause{0};
constexpr microseconds kShortestNap{30};
constexpr microseconds kLongestNap{2'000};
/// A thread that was forced off the GIL waits for it again within 20-60 us.
constexpr microseconds kBetweenLooks{30};
constexpr int kLooksForWaiter = 3;
/// The GIL in the hands of threads that are not ours for longer than a switch interval: a runner
/// that wanted it would have had it.
constexpr milliseconds kForeignFor{6};
/// Nobody finishes a task for this long: one more runner; for twice as long: the next one ...
constexpr milliseconds kAdmitAfter{20};
constexpr int kMostDoublings = 6;
/// What an idle spare burns before it resigns, and one with work before it sleeps at the GIL. A
/// round trip by sleeping and waking takes 40-60 us, so longer spins cannot win.
constexpr microseconds kSpin{20};

// --- shared with spares that do not hold the GIL
std::atomic<bool> g_work_queued{false};
std::atomic<bool> g_spare_exists{false};
std::atomic<int> g_active{0};  ///< runners of the present term; written under the GIL
std::atomic<core::TimePoint::rep> g_last_progress{0};  ///< a task finished, a runner came
std::atomic<int> g_admissions{0};                      ///< since a task finished
std::atomic<bool> g_spare_naps{false};
/// Since when the spare waits for the GIL; 0: it does not.
std::atomic<core::TimePoint::rep> g_spare_asks_since{0};
/// A thread that is not ours keeps the GIL while runners block. Written by the spare.
std::atomic<bool> g_others_compute{false};
Mode g_mode;

// --- GIL
std::uint64_t g_term = 1;
std::uint64_t g_tasks_begun = 0;
AdmissionCounters g_counters;

// --- the spare's own
constinit thread_local std::int64_t t_gil_wait_ns = 0;
core::Parker g_nap;
nanoseconds g_pause{0};  ///< what the next spare waits before it asks for the GIL
SpinHabit g_idle_habit;
SpinHabit g_gil_habit;

core::TimePoint::rep ticks(core::TimePoint when) {
    return when.time_since_epoch().count();
}

void note_progress(core::TimePoint now) {
    g_last_progress.store(ticks(now), std::memory_order_relaxed);
}

/// True if the spare has waited for the GIL for longer than a forced switch takes: then C code
/// keeps it that never looks whether somebody wants it.
bool spare_waits_in_vain(core::TimePoint now) {
    const core::TimePoint::rep since = g_spare_asks_since.load(std::memory_order_relaxed);
    return since != 0 && ticks(now) - since > core::TimePoint::duration(kSwitchInterval).count();
}

bool head_waits_too_long(core::TimePoint now, core::TimePoint since) {
    const core::TimePoint::rep begin =
        std::max(g_last_progress.load(std::memory_order_relaxed), ticks(since));
    const int doublings = std::min(g_admissions.load(std::memory_order_relaxed), kMostDoublings);
    return ticks(now) - begin > core::TimePoint::duration(kAdmitAfter * (1 << doublings)).count();
}

/// Sleeps for `length` unless hurry_spare() comes.
void nap(nanoseconds length) {
    g_spare_naps.store(true);
    if (g_active.load() != 0 || !g_work_queued.load()) {
        g_nap.park_until(core::monotonic_now() + length);
    }
    g_spare_naps.store(false);
}

enum class Chance {
    none,          ///< nothing is queued any more
    at_gil,        ///< wait for the GIL: who holds it is about to block
    seen_free,     ///< take the GIL: it has been free for a while
    beside_other,  ///< wait for the GIL: a thread that is not ours has it, and no runner wants it
    admitted       ///< wait for the GIL: the head of the queue has waited long enough
};

/// What a look at the GIL found.
enum class Sight { free, held_by_runner, held_by_other };

Sight look_at_holder() {
    const PyThreadState* const holder = gil_holder();
    if (holder == nullptr) {
        // Free between two hands, or as a courtesy: the runner wants it back.
        return courtesy_is_open() ? Sight::held_by_runner : Sight::free;
    }
    return is_of_listed_runner(holder) ? Sight::held_by_runner : Sight::held_by_other;
}

/// The same, but free only if it stays so for longer than a change of hands takes.
Sight look_twice() {
    Sight sight = look_at_holder();
    if (sight == Sight::free) {
        spin_until(kSeenFreeFor, [&sight] { return (sight = look_at_holder()) != Sight::free; });
    }
    return sight;
}

/// Waits, without the GIL, until there is reason to take it.
Chance await_chance(core::TimePoint since) {
    nanoseconds nap_length = kShortestNap;
    core::TimePoint foreign_since = core::kNever;
    while (g_work_queued.load()) {
        core::TimePoint now = core::monotonic_now();
        if (g_active.load() == 0) {
            return Chance::at_gil;
        }
        if (head_waits_too_long(now, since)) {
            return Chance::admitted;
        }
        if (cores_are_taken(now)) {
            ++g_counters.throttled;
        } else if (!gil_words_are_readable()) {
            return Chance::at_gil;
        } else if (g_mode.tasks_block()) {
            return g_others_compute && look_at_holder() == Sight::held_by_other
                       ? Chance::beside_other
                       : Chance::at_gil;
        } else {
            switch (look_twice()) {
                case Sight::free:
                    g_mode.spare_saw_gil_free();
                    return Chance::seen_free;
                case Sight::held_by_runner:
                    g_mode.spare_saw_gil_held();
                    g_others_compute = false;
                    foreign_since = core::kNever;
                    break;
                case Sight::held_by_other:
                    foreign_since = std::min(foreign_since, now);
                    if (g_others_compute || now - foreign_since > kForeignFor) {
                        g_others_compute = true;
                        return Chance::beside_other;
                    }
                    break;
            }
            now = core::monotonic_now();
        }
        if (wakeups_are_overdue(now)) {
            wake_collected();
        }
        nap(nap_length);
        nap_length = std::min<nanoseconds>(nap_length * 2, kLongestNap);
    }
    return Chance::none;
}

/// The spare has the GIL, and another runner is believed active. True if that one wants to go on;
/// then the GIL has been handed back.
bool intrudes(Chance chance, nanoseconds waited) {
    const bool gift = courtesy_is_open();
    if (!gift && (chance == Chance::beside_other || (g_others_compute && waited > kForcedAfter))) {
        g_mode.spare_got_in_quickly();
        ++g_counters.beside_other;
        return false;
    }
    if (!gift && waited <= kForcedAfter) {
        if (chance == Chance::at_gil) {
            g_mode.spare_got_in_quickly();
            g_others_compute = false;
            g_pause = waited > kContended ? std::min<nanoseconds>(waited, kLongestPause) : kNoPause;
            ++g_counters.quick;
        } else {
            ++g_counters.polled;
        }
        return false;
    }
    PyThreadState* state = nullptr;
    const PyThreadState* taker = nullptr;
    Release release = release_to_waiter(&state, &taker);
    // Who was forced off the GIL first has to wake up in order to wait for it again.
    for (int look = 0; look < kLooksForWaiter && !gift && release == Release::nobody_waited;
         ++look) {
        spin_until(kBetweenLooks, [] { return false; });
        release = release_to_waiter(&state, &taker);
    }
    if (release == Release::nobody_waited && !gift) {
        ++g_counters.late;
        return false;
    }
    if (release == Release::taken && !gift && !is_of_listed_runner(taker)) {
        // It went to a thread that is not ours: what the runner does stays unknown, and a queue
        // must not stand still beside a busy main thread.
        g_others_compute = true;
        PyEval_RestoreThread(state);
        ++g_counters.late;
        return false;
    }
    if (release == Release::nobody_waited) {
        PyEval_SaveThread();
    }
    g_mode.spare_intruded();
    g_others_compute = false;
    ++g_counters.forced;
    g_counters.gifts += gift ? 1 : 0;
    return true;
}

/// The spare, with the GIL, becomes the one active runner.
void take_over(Runner* runner) {
    ++g_term;
    runner->term = g_term;
    g_active.store(1);
    note_progress(core::monotonic_now());
    g_spare_exists.store(false);
    restart_courtesy_clock();
}

/// Nothing is queued. True if that changed within a short while; else the spare has resigned,
/// unless somebody queued work at that very moment and relied on it.
bool stays_for_more_work() {
    if (g_idle_habit.try_until(kSpin, [] { return g_work_queued.load(); })) {
        return true;
    }
    g_spare_exists.store(false);
    return g_work_queued.load() && appoint_spare();
}

}  // namespace

void set_work_queued(bool queued) {
    if (g_work_queued.load(std::memory_order_relaxed) != queued) {
        g_work_queued.store(queued);
    }
}

bool work_is_queued() {
    return g_work_queued.load(std::memory_order_relaxed);
}

bool appoint_spare() {
    return !g_spare_exists.load() && !g_spare_exists.exchange(true);
}

void dismiss_spare() {
    g_spare_exists.store(false);
}

void hurry_spare() {
    if (g_active.load(std::memory_order_relaxed) == 0 && g_spare_naps.exchange(false)) {
        g_nap.unpark();
    }
}

bool come_in() {
    core::TimePoint since = core::monotonic_now();
    while (true) {
        const Chance chance = await_chance(since);
        if (chance == Chance::none) {
            if (!stays_for_more_work()) {
                return false;
            }
            since = core::monotonic_now();
            continue;
        }
        if (g_pause > kNoPause && g_active.load() > 0) {
            nap(g_pause);
            g_pause = kNoPause;
            continue;
        }
        if (g_active.load() == 0 && gil_words_are_readable()) {
            // Who queued the work is likely to wait for it soon, and lets the GIL go then.
            g_gil_habit.try_until(kSpin, [] { return gil_holder() == nullptr; });
        }
        const core::TimePoint asked = core::monotonic_now();
        g_spare_asks_since.store(ticks(asked), std::memory_order_relaxed);
        trace_asks();
        WorkerThreadState::attach();
        g_spare_asks_since.store(0, std::memory_order_relaxed);
        t_gil_wait_ns = (core::monotonic_now() - asked).count();
        Runner* const runner = own_runner();
        // At a task boundary nobody is a hog any more: an admission that comes in by a courtesy
        // only would take what was meant for others.
        if ((chance != Chance::admitted || courtesy_is_open()) && g_active.load() > 0 &&
            intrudes(chance, core::monotonic_now() - asked)) {
            trace_came_in(asked, false);
            if (!gil_words_are_readable()) {
                nap(kLongestNap);  // no look can tell when to come back
            }
            continue;
        }
        if (chance == Chance::admitted) {
            ++g_counters.admitted;
            g_admissions.fetch_add(1, std::memory_order_relaxed);
            trace_instant(TraceInstant::runner_admitted);
        }
        trace_came_in(asked, true);
        take_over(runner);
        return true;
    }
}

void begin_task(Runner* runner) {
    runner->task.store(++g_tasks_begun, std::memory_order_relaxed);
    list_runner(runner);
}

bool goes_on_after_task(Runner* runner) {
    runner->task.store(0, std::memory_order_relaxed);
    g_admissions.store(0, std::memory_order_relaxed);
    const bool looks_at_clock = runner->clock.is_due();
    const core::TimePoint now = looks_at_clock ? runner->clock.read() : core::TimePoint{};
    if (looks_at_clock) {
        note_progress(now);
    }
    const bool tasks_block = g_mode.tasks_block();
    const bool was_active = runner->term == g_term;
    const int others = g_active.load(std::memory_order_relaxed) - (was_active ? 1 : 0);
    if (others > 0 && !tasks_block) {
        ++g_counters.parked;
        return false;
    }
    if (!was_active) {
        runner->term = g_term;
        g_active.store(others + 1);
        ++g_counters.continued;
        restart_courtesy_clock();
    }
    if (tasks_block || (looks_at_clock && wakeups_are_overdue(now))) {
        wake_collected();
    }
    if (looks_at_clock && was_active && work_is_queued()) {
        if (!tasks_block) {
            offer_gil_between_tasks(now);
        } else if (spare_waits_in_vain(now)) {
            offer_gil_to_waiters(now);
        }
        // Meanwhile a spare may have taken over; two that compute would only take turns.
        if (runner->term != g_term && !g_mode.tasks_block() && g_active.load() > 0) {
            ++g_counters.parked;
            return false;
        }
    }
    return true;
}

void step_down(Runner* runner) {
    if (runner->term == g_term) {
        g_active.store(g_active.load(std::memory_order_relaxed) - 1);
    }
    runner->term = 0;
    runner->task.store(0, std::memory_order_relaxed);
}

void lend_runner_role() {
    if (!is_runner_thread()) {
        return;
    }
    Runner* const runner = own_runner();
    if (runner->term == g_term) {
        g_active.store(g_active.load(std::memory_order_relaxed) - 1);
        runner->term = 0;
        if (work_is_queued()) {
            hurry_spare();
        }
    }
}

void reset_admission() {
    g_spare_exists.store(false);
    g_spare_naps.store(false);
    g_work_queued.store(false);
    g_active.store(0);
    ++g_term;
    g_admissions.store(0);
    g_mode.reset();
    new (&g_nap) core::Parker;  // whoever napped in it does not exist here
    forget_listed_runners();
    reset_courtesy();
    if (is_runner_thread()) {
        own_runner()->slot = -1;
    }
}

int active_runners() {
    return g_active.load(std::memory_order_relaxed);
}

std::int64_t last_gil_wait_ns() {
    return t_gil_wait_ns;
}

const AdmissionCounters& admission_counters() {
    return g_counters;
}

float blocking_estimate() {
    return g_mode.value();
}

}  // namespace gilpool::bindings
