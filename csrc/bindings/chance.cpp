// bindings/chance.cpp: the spare's looks at the GIL, and the naps between them.
#include "bindings/chance.hpp"

#include <algorithm>
#include <thread>

#include "bindings/admission_state.hpp"
#include "bindings/computing.hpp"
#include "bindings/courtesy.hpp"
#include "bindings/gil_waiters.hpp"
#include "bindings/gil_words.hpp"
#include "bindings/spinning.hpp"
#include "bindings/visitors.hpp"
#include "bindings/wakeups.hpp"
#include "core/spin.hpp"

namespace gilpool::bindings {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

/// A GIL that is free for this long is not just between two hands.
constexpr microseconds kSeenFreeFor{30};
constexpr microseconds kShortestNap{30};
/// The GIL in the hands of threads that are not ours for longer than a switch interval: a runner
/// that wanted it would have had it.
constexpr milliseconds kForeignFor{6};
/// Who has been about to take the GIL for so long cannot be told from who computes off it and gets
/// no core.
constexpr milliseconds kPromisedFor{3};
/// A thread that is not ours and keeps the GIL for so long when it was given it computes ...
constexpr milliseconds kComputesAfter{1};
/// ... most let it go sooner than it is worth sleeping for.
constexpr microseconds kLetGoWithin{60};
constexpr microseconds kBetweenLooks{50};
/// Nobody finishes a task for this long: one more runner; for twice as long: the next one ...
constexpr milliseconds kAdmitAfter{20};
constexpr int kMostDoublings = 6;

bool head_waits_too_long(core::TimePoint now, core::TimePoint since) {
    const core::TimePoint::rep begin =
        std::max(g_admission.last_progress.load(std::memory_order_relaxed), ticks(since));
    const int doublings =
        std::min(g_admission.admissions.load(std::memory_order_relaxed), kMostDoublings);
    return ticks(now) - begin > core::TimePoint::duration(kAdmitAfter * (1 << doublings)).count();
}

Sight look_at_holder() {
    const PyThreadState* const holder = gil_holder();
    if (holder == nullptr) {
        // Free between two hands, or offered, or asked for: the runner wants it back.
        return courtesy_is_open() || gil_is_promised_to_visitor() ? Sight::held_by_runner
                                                                  : Sight::free;
    }
    return is_of_listed_runner(holder) ? Sight::held_by_runner : Sight::held_by_other;
}

/// The same, but free only if it stays so for longer than a change of hands takes, and not because
/// who was woken for it is not awake yet.
Sight look_twice() {
    Sight sight = look_at_holder();
    if (sight == Sight::free) {
        spin_until(kSeenFreeFor, [&sight] { return (sight = look_at_holder()) != Sight::free; });
    }
    if (sight == Sight::free && gil_waiters_are_visible()) {
        const bool promised = some_runner_wants_gil(g_admission.term);
        sight = look_at_holder();
        if (sight == Sight::free && promised) {
            ++g_admission.counters.doubted;
            return Sight::promised;
        }
    }
    return sight;
}

}  // namespace

Chance await_chance(core::TimePoint since) {
    nanoseconds nap_length = kShortestNap;
    nanoseconds longest_nap = kLongestNap;
    core::TimePoint foreign_since = core::kNever;
    core::TimePoint promised_since = core::kNever;
    while (g_admission.work_queued.load()) {
        core::TimePoint now = core::monotonic_now();
        if (g_admission.active.load() == 0) {
            return Chance::at_gil;
        }
        if (head_waits_too_long(now, since)) {
            return Chance::admitted;
        }
        if (cores_are_taken(now)) {
            ++g_admission.counters.throttled;
        } else if (!gil_words_are_readable()) {
            return Chance::at_gil;
        } else if (g_admission.mode.tasks_block()) {
            return g_admission.others_compute && look_at_holder() == Sight::held_by_other
                       ? Chance::beside_other
                       : Chance::at_gil;
        } else {
            Sight sight = look_twice();
            promised_since =
                sight == Sight::promised ? std::min(promised_since, now) : core::kNever;
            if (now - promised_since > kPromisedFor) {
                sight = Sight::free;
            }
            switch (sight) {
                case Sight::free:
                    g_admission.mode.spare_saw_gil_free();
                    return Chance::seen_free;
                case Sight::promised:
                case Sight::held_by_runner:
                    g_admission.mode.spare_saw_gil_held();
                    g_admission.others_compute = false;
                    foreign_since = core::kNever;
                    longest_nap = std::min<nanoseconds>(attend_visitors(now), kLongestNap);
                    break;
                case Sight::held_by_other:
                    note_foreign_holder();
                    foreign_since = std::min(foreign_since, now);
                    if (g_admission.others_compute || now - foreign_since > kForeignFor) {
                        g_admission.others_compute = true;
                        return Chance::beside_other;
                    }
                    break;
            }
            now = core::monotonic_now();
        }
        if (wakeups_are_overdue(now)) {
            wake_collected();
        }
        nap(std::min(nap_length, longest_nap));
        nap_length = std::min<nanoseconds>(nap_length * 2, kLongestNap);
    }
    return Chance::none;
}

Sight see_who_stays() {
    const core::TimePoint begun = core::monotonic_now();
    core::TimePoint free_since = core::kNever;
    while (true) {
        const Sight sight = look_at_holder();
        const core::TimePoint now = core::monotonic_now();
        free_since = sight == Sight::free ? std::min(free_since, now) : core::kNever;
        const bool stays_free = sight == Sight::free && now - free_since > kTakenWithin;
        if (sight == Sight::held_by_runner || stays_free || now - begun > kComputesAfter) {
            return sight;
        }
        if (sight == Sight::free || now - begun < kLetGoWithin) {
            core::cpu_relax();
        } else {
            std::this_thread::sleep_for(kBetweenLooks);
        }
    }
}

void nap(nanoseconds length) {
    g_admission.spare_naps.store(true);
    if (g_admission.active.load() != 0 || !g_admission.work_queued.load()) {
        g_admission.nap.park_until(core::monotonic_now() + length);
    }
    g_admission.spare_naps.store(false);
}

}  // namespace gilpool::bindings
