// bindings/courtesy.cpp: the timed release, the hand-over, and when to be courteous.
#include "bindings/courtesy.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "bindings/cpu_clock.hpp"
#include "bindings/gil_waiters.hpp"
#include "bindings/gil_words.hpp"
#include "bindings/spinning.hpp"

namespace gilpool::bindings {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

/// A release without a waiter took at most 160 ns (p99) in a loop, one with a waiter at least 6.4
/// us (p1). After a long task, or while others use the core, 1-3 us without one is common. If each
/// of these was waited for as if somebody had been woken, one in ten tasks of 10 ms cost 3 ms more.
constexpr nanoseconds kMayHaveWoken{1'500};
constexpr nanoseconds kWokeSomebody{5'000};
/// Who has not taken it by then finds no core: to spin would only keep it from one, and to take the
/// GIL back would starve it.
constexpr microseconds kNap{100};
constexpr milliseconds kTakenAtLast{3};
/// A served waiter let go again after 0.6 / 3.4 / 7.8 us; who stays longer computes.
constexpr microseconds kServedWithin{60};
/// The next in line has it within 60 us of the one before (p90).
constexpr microseconds kFollowsWithin{60};
constexpr int kMostServed = 16;
/// Where the words cannot be read, a waiter gets this long to wake up.
constexpr microseconds kBlindWait{60};
/// Tasks shorter than this share one courtesy.
constexpr microseconds kOfferEvery{200};
/// After a taker that had to be forced out the next offer waits for our own share of the GIL.
constexpr milliseconds kSwitchInterval{5};
constexpr microseconds kForcedAfter{4'500};
/// A periodic waiter that comes a little after a task boundary would have to wait for a whole task:
/// the GIL is left free for this long to catch it ...
constexpr microseconds kLookout{150};
/// ... at most this often, and twice as rarely after each time that nobody came.
constexpr milliseconds kLookoutEvery{3};
/// ... and not between tasks so short that to look out for one costs as much as to let it wait, or
/// so long that it is served in the middle of them (visitors.hpp).
constexpr microseconds kWorthLookout{500};
constexpr microseconds kServedInTask{2'000};
constexpr int kMostFailures = 6;

// GIL, but for g_open.
std::atomic<bool> g_open{false};
core::TimePoint g_last_offer;
std::int64_t g_cpu_at_last_offer = 0;
nanoseconds g_next_offer_after{kOfferEvery};
core::TimePoint g_last_lookout;
int g_lookout_failures = 0;
std::atomic<unsigned> g_visits{0};
SpinHabit g_queue_habit{64};
SpinHabit g_doubt_habit;
CourtesyCounters g_counters;

/// Whether the GIL has been in other hands since the caller had it, even if it is free again: who
/// was woken on an idle core has often come and gone before the waker's own system call returns. To
/// look for the taker only while it holds the GIL made every fourth release wait in vain, for 3 ms.
class HandOver {
  public:
    bool is_seen() const { return gil_switches() != switches_; }
    bool is_seen_within(nanoseconds limit) const {
        return spin_until(limit, [this] { return is_seen(); });
    }

    /// The same after a release that took so long: for as long as somebody who was woken by it may
    /// need to come, if anybody was.
    bool is_seen_at_last(nanoseconds released_in) const {
        if (released_in <= kWokeSomebody) {
            return g_doubt_habit.try_until(kTakenWithin, [this] { return is_seen(); });
        }
        if (is_seen_within(kTakenWithin)) {
            return true;
        }
        const core::TimePoint deadline = core::monotonic_now() + kTakenAtLast;
        while (!is_seen()) {
            if (core::monotonic_now() > deadline) {
                return false;
            }
            std::this_thread::sleep_for(kNap);
        }
        return true;
    }

    /// Whether a thread that only came by was among those who had it.
    bool was_a_visit() const { return g_visits.load(std::memory_order_relaxed) != visits_; }

  private:
    unsigned long switches_ = gil_switches();
    unsigned visits_ = g_visits.load(std::memory_order_relaxed);
};

/// Waits, after the first hand-over, until the runner can have the GIL back: most takers let it go
/// sooner than going to sleep at the GIL would take, and who waited behind one has been woken by
/// then. To serve that one, too, and not keep it waiting for a task more, is worth its way out of
/// sleep if there was one behind the others of late, or if the last taker only came by. True if
/// nobody did more than that.
bool await_return(HandOver hand_over) {
    bool only_visits = true;
    for (int served = 0; served < kMostServed; ++served) {
        const bool let_go = spin_until(kServedWithin, [] { return !gil_is_locked(); });
        const bool visit = hand_over.was_a_visit();
        only_visits = only_visits && visit;
        hand_over = HandOver();
        const auto follows = [&hand_over] { return hand_over.is_seen(); };
        if (!let_go || !(visit ? hand_over.is_seen_within(kFollowsWithin)
                               : g_queue_habit.try_until(kFollowsWithin, follows))) {
            break;
        }
    }
    return only_visits;
}

/// A hand-over as it should be, GIL released throughout. True if somebody had the GIL.
bool serve_waiters(const HandOver& hand_over, nanoseconds released_in, core::TimePoint now,
                   bool look_out) {
    if (!gil_words_are_readable()) {
        if (released_in > kMayHaveWoken) {
            std::this_thread::sleep_for(kBlindWait);
            return true;
        }
        return false;
    }
    if (released_in > kMayHaveWoken) {
        if (!hand_over.is_seen_at_last(released_in)) {
            return false;
        }
    } else if (look_out && now - g_last_lookout > kLookoutEvery * (1 << g_lookout_failures)) {
        g_last_lookout = now;
        ++g_counters.lookouts;
        if (!hand_over.is_seen_within(kLookout)) {
            g_lookout_failures = std::min(g_lookout_failures + 1, kMostFailures);
            return false;
        }
    } else {
        return false;
    }
    if (!await_return(hand_over)) {
        g_lookout_failures = 0;
    }
    return true;
}

bool is_worth_a_lookout(nanoseconds held) {
    return held > kWorthLookout && (held < kServedInTask || !gil_waiters_are_visible());
}

void offer(bool look_out) {
    ++g_counters.offered;
    g_open.store(true);
    const HandOver hand_over;
    const core::TimePoint before = core::monotonic_now();
    PyThreadState* const state = PyEval_SaveThread();
    const core::TimePoint after = core::monotonic_now();
    const bool served = serve_waiters(hand_over, after - before, after, look_out);
    PyEval_RestoreThread(state);
    g_open.store(false);
    restart_courtesy_clock();
    if (served) {
        ++g_counters.taken;
        if (g_last_offer - after > kForcedAfter) {
            g_next_offer_after = kSwitchInterval;
        }
    }
}

}  // namespace

void note_visit() {
    g_visits.store(g_visits.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void restart_courtesy_clock() {
    g_last_offer = core::monotonic_now();
    g_cpu_at_last_offer = thread_cpu_ns();
    g_next_offer_after = kOfferEvery;
}

void offer_gil_between_tasks(core::TimePoint now) {
    if (now - g_last_offer < g_next_offer_after) {
        return;
    }
    // Time off the GIL does not count, and the wall alone would count it. But a task may also sleep
    // with the GIL (C code that never lets it go hears no request to drop it either), so after a
    // whole switch interval there is an offer in any case: without a waiter it costs next to
    // nothing.
    if (now - g_last_offer < kSwitchInterval &&
        nanoseconds(thread_cpu_ns() - g_cpu_at_last_offer) < g_next_offer_after) {
        return;
    }
    offer(is_worth_a_lookout(now - g_last_offer));
}

void offer_gil_if_kept(core::TimePoint now) {
    if (now - g_last_offer >= kSwitchInterval) {
        offer(false);
    }
}

bool courtesy_is_open() {
    return g_open.load();
}

Release release_to_waiter(PyThreadState** state) {
    const HandOver hand_over;
    const core::TimePoint before = core::monotonic_now();
    *state = PyEval_SaveThread();
    const nanoseconds released_in = core::monotonic_now() - before;
    if (released_in > kMayHaveWoken) {
        if (!gil_words_are_readable()) {
            std::this_thread::sleep_for(kBlindWait);
            return Release::not_seen;
        }
        if (hand_over.is_seen_at_last(released_in)) {
            return Release::taken;
        }
        if (released_in > kWokeSomebody) {
            return Release::not_seen;
        }
    }
    PyEval_RestoreThread(*state);
    return Release::nobody_waited;
}

const CourtesyCounters& courtesy_counters() {
    return g_counters;
}

void reset_courtesy() {
    g_open.store(false);
    g_lookout_failures = 0;
}

}  // namespace gilpool::bindings
