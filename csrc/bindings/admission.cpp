// bindings/admission.cpp: the spare's way in; the runner's way out is in runner_role.cpp.
//
// Taking over: the spare begins a new term. Runners of older terms are not active: they block, or
// wait for the GIL behind the new one, which cannot be told apart and need not be. A runner that
// finishes a task in an old term either joins the present one or ends its role.
#include "bindings/admission.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>

#include "bindings/admission_state.hpp"
#include "bindings/chance.hpp"
#include "bindings/computing.hpp"
#include "bindings/courtesy.hpp"
#include "bindings/gil.hpp"
#include "bindings/gil_words.hpp"
#include "bindings/spinning.hpp"
#include "bindings/trace.hpp"
#include "bindings/visitors.hpp"
#include "bindings/wakeups.hpp"
#include "core/pace.hpp"

namespace gilpool::bindings {

AdmissionState g_admission;

namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

/// A runner that wants to keep the GIL is forced off it after CPython's switch interval of 5 ms, so
/// who got it clearly sooner found it free. With a patience of 0.5 ms a wait behind many sleepers
/// that come back reads as a computing runner: 0.75 instead of 0.89 of the best pool on mixed
/// tasks.
constexpr microseconds kForcedAfter{4'500};
/// A spare that waited this long among workers that come back from blocking was one contender more
/// for a GIL that is used up; so the next one lets as much time pass before it asks. With 0.1 ms
/// waits (0.96 -> 1.01 of the best pool) fewer threads do the same work; four times the wait, up to
/// 2 ms, was too long for mixed tasks (1.05 -> 0.96).
constexpr microseconds kContended{100};
constexpr microseconds kLongestPause{500};
constexpr nanoseconds kNoPause{0};
/// Calls that block and were started one right after the other end so, too, and for each the GIL
/// has to go to a thread that is only just waking up: 25-60 us. If that takes longer than starting
/// them did, they pile up, and each that waits for the GIL wakes every 5 ms to look: with a
/// thousand of them the machine does nothing else. Idle workers can be started every 40 us; 10,000
/// calls of time.sleep(1) on them took 6-17 s, and take 1.9 s at this pace. Where new threads have
/// to be made it is slower than this anyway.
constexpr int kCrowd = 1'000;
constexpr microseconds kPace{80};
constexpr microseconds kPaceSlack{1'000};
/// A thread that was forced off the GIL waits for it again within 20-60 us.
constexpr microseconds kBetweenLooks{30};
constexpr int kLooksForWaiter = 3;
/// What an idle spare burns before it resigns, and one with work before it sleeps at the GIL. A
/// round trip by sleeping and waking takes 40-60 us, so longer spins cannot win.
constexpr microseconds kSpin{20};

// --- the spare's own
constinit thread_local std::int64_t t_gil_wait_ns = 0;
nanoseconds g_pause{0};  ///< what the next spare waits before it asks for the GIL
core::Pace g_crowds_pace{kPace, kPaceSlack};
SpinHabit g_idle_habit;
SpinHabit g_gil_habit;

/// The spare has the GIL, and another runner is believed active. True if that one wants to go on;
/// then the GIL has been handed back.
bool intrudes(Chance chance, nanoseconds waited) {
    const bool gift = courtesy_is_open();
    if (!gift && chance == Chance::beside_other) {
        g_admission.mode.spare_got_in_quickly();
        ++g_admission.counters.beside_other;
        return false;
    }
    if (!gift && waited <= kForcedAfter) {
        if (chance == Chance::at_gil) {
            g_admission.mode.spare_got_in_quickly();
            g_admission.others_compute = false;
            g_pause = waited > kContended ? std::min<nanoseconds>(waited, kLongestPause) : kNoPause;
            ++g_admission.counters.quick;
        } else {
            ++g_admission.counters.polled;
        }
        return false;
    }
    PyThreadState* state = nullptr;
    Release release = release_to_waiter(&state);
    // Who was forced off the GIL first has to wake up in order to wait for it again.
    for (int look = 0; look < kLooksForWaiter && !gift && release == Release::nobody_waited;
         ++look) {
        spin_until(kBetweenLooks, [] { return false; });
        release = release_to_waiter(&state);
    }
    if (release == Release::nobody_waited && !gift) {
        ++g_admission.counters.late;
        return false;
    }
    // It may have gone to a thread that is not ours: then what the runner wants shows only once
    // that one lets it go; if it keeps it, a queue must not stand still beside a busy main thread.
    const Sight stays =
        release == Release::taken && !gift ? see_who_stays() : Sight::held_by_runner;
    if (stays != Sight::held_by_runner) {
        g_admission.others_compute = stays == Sight::held_by_other;
        PyEval_RestoreThread(state);
        ++g_admission.counters.late;
        return false;
    }
    if (release == Release::nobody_waited) {
        PyEval_SaveThread();
    }
    g_admission.mode.spare_intruded();
    g_admission.others_compute = false;
    ++g_admission.counters.forced;
    g_admission.counters.gifts += gift ? 1 : 0;
    return true;
}

/// How long the spare is to wait so that a crowd is not started faster than it can end.
nanoseconds ahead_of_pace(core::TimePoint now) {
    const bool crowded = g_admission.serving.load(std::memory_order_relaxed) > kCrowd;
    return crowded && g_admission.active.load() > 0 ? g_crowds_pace.ahead(now) : kNoPause;
}

/// The spare, with the GIL, becomes the one active runner.
void take_over(Runner* runner) {
    ++g_admission.term;
    runner->term = g_admission.term;
    g_admission.active.store(1);
    const core::TimePoint now = core::monotonic_now();
    note_progress(now);
    g_crowds_pace.note_start(now);
    g_admission.serving.fetch_add(1, std::memory_order_relaxed);
    g_admission.spare_exists.store(false);
    restart_courtesy_clock();
}

/// Nothing is queued. True if that changed within a short while; else the spare has resigned,
/// unless somebody queued work at that very moment and relied on it.
bool stays_for_more_work() {
    if (g_idle_habit.try_until(kSpin, [] { return g_admission.work_queued.load(); })) {
        return true;
    }
    g_admission.spare_exists.store(false);
    return g_admission.work_queued.load() && appoint_spare();
}

}  // namespace

void set_work_queued(bool queued) {
    if (g_admission.work_queued.load(std::memory_order_relaxed) != queued) {
        g_admission.work_queued.store(queued);
    }
}

bool work_is_queued() {
    return g_admission.work_queued.load(std::memory_order_relaxed);
}

bool appoint_spare() {
    return !g_admission.spare_exists.load() && !g_admission.spare_exists.exchange(true);
}

void dismiss_spare() {
    g_admission.spare_exists.store(false);
}

void hurry_spare() {
    // Seldom true, and asked with every task that is queued: so it is read before it is written.
    // In one order with the spare's, which writes this and then reads what the caller has written.
    if (g_admission.active.load(std::memory_order_relaxed) == 0 && g_admission.spare_naps.load() &&
        g_admission.spare_naps.exchange(false)) {
        g_admission.nap.unpark();
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
        if (g_pause > kNoPause && g_admission.active.load() > 0) {
            nap(g_pause);
            g_pause = kNoPause;
            continue;
        }
        if (const nanoseconds pause = ahead_of_pace(core::monotonic_now()); pause > kNoPause) {
            nap(pause);
            continue;
        }
        if (g_admission.active.load() == 0 && gil_words_are_readable()) {
            // Who queued the work is likely to wait for it soon, and lets the GIL go then.
            g_gil_habit.try_until(kSpin, [] { return gil_holder() == nullptr; });
        }
        const core::TimePoint asked = core::monotonic_now();
        trace_asks();
        WorkerThreadState::attach();
        t_gil_wait_ns = (core::monotonic_now() - asked).count();
        Runner* const runner = own_runner();
        // At a task boundary nobody is a hog any more: an admission that comes in by a courtesy
        // only would take what was meant for others.
        if ((chance != Chance::admitted || courtesy_is_open()) && g_admission.active.load() > 0 &&
            intrudes(chance, core::monotonic_now() - asked)) {
            trace_came_in(asked, false);
            if (!gil_words_are_readable()) {
                nap(kLongestNap);  // no look can tell when to come back
            }
            continue;
        }
        if (chance == Chance::admitted) {
            ++g_admission.counters.admitted;
            g_admission.admissions.fetch_add(1, std::memory_order_relaxed);
            trace_instant(TraceInstant::runner_admitted);
        }
        trace_came_in(asked, true);
        take_over(runner);
        return true;
    }
}

void reset_admission() {
    g_admission.spare_exists.store(false);
    g_admission.spare_naps.store(false);
    g_admission.work_queued.store(false);
    g_admission.active.store(0);
    // The worker that forked, if it was one.
    g_admission.serving.store(is_runner_thread() && own_runner()->task.load() != 0 ? 1 : 0);
    ++g_admission.term;
    g_admission.admissions.store(0);
    g_admission.mode.reset();
    new (&g_admission.nap) core::Parker;  // whoever napped in it does not exist here
    forget_listed_runners();
    reset_courtesy();
    forget_visitors();
    if (is_runner_thread()) {
        own_runner()->slot = -1;
        name_thread_of(own_runner());
        mark_as_worker();
    }
}

std::int64_t last_gil_wait_ns() {
    return t_gil_wait_ns;
}

const AdmissionCounters& admission_counters() {
    return g_admission.counters;
}

float blocking_estimate() {
    return g_admission.mode.value();
}

}  // namespace gilpool::bindings
