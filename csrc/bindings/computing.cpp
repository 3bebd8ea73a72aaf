// bindings/computing.cpp: samples the CPU clocks of runners that began a task lately.
//
// A runner that is off the GIL while its CPU clock runs computes; one whose clock stands is blocked
// or waits for the GIL. Reading a clock takes 0.2 us, so with thousands of sleepers not all are
// read: a few slots, two for each core, hold the latest starters, and one seen computing keeps its
// slot.
#include "bindings/computing.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <thread>

#include "bindings/gil_waiters.hpp"
#include "bindings/gil_words.hpp"
#include "core/limits.hpp"

namespace gilpool::bindings {

namespace {

constexpr unsigned kFewestSlots = 16;
constexpr unsigned kMostSlots = 512;
/// The CPU clock of a thread that runs all the time gains this in a moment that can be told from
/// noise.
constexpr std::chrono::microseconds kShortestSample{100};
/// A look at 16 slots takes 3-6 us; this often it costs 1 %.
constexpr std::chrono::microseconds kLookEvery{500};
/// A thread that computes may share its core with another; sleepers use less than this.
constexpr int kComputingPercent = 30;
/// What a computing thread needs to be told from one that is about to run: that may take over a
/// millisecond after it was woken, and its clock stands until then.
constexpr std::chrono::microseconds kAwakeSample{50};

/// What the spare saw so long ago says nothing any more.
constexpr std::chrono::milliseconds kGoodFor{3};

std::array<std::atomic<Runner*>, kMostSlots> g_slots{};
unsigned g_next_slot = 0;  // GIL
std::atomic<core::TimePoint::rep> g_looked_at{0};
std::atomic<int> g_computing{0};  ///< then; both written by the spare

int core_count() {
    static std::atomic<int> answer{0};
    int known = answer.load(std::memory_order_relaxed);
    if (known == 0) {
        known = static_cast<int>(core::usable_cores());
        answer.store(known, std::memory_order_relaxed);
    }
    return known;
}

std::span<std::atomic<Runner*>> slots() {
    const auto wanted = 2 * static_cast<unsigned>(core_count());
    return std::span(g_slots).first(std::clamp(wanted, kFewestSlots, kMostSlots));
}

std::int64_t cpu_ns(const Runner* runner) {
    timespec time{};
    if (clock_gettime(runner->cpu_clock.load(std::memory_order_relaxed), &time) != 0) {
        return -1;  // the thread has ended
    }
    return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

bool is_much_of(std::int64_t wall_ns, std::int64_t cpu_used_ns) {
    return cpu_used_ns * 100 >= wall_ns * kComputingPercent;
}

/// Whether the clock of the runner, which is not asleep, runs. Asleep itself meanwhile: of two
/// cores, the caller's may be the one that the runner was on.
bool is_on_a_core(const Runner* runner) {
    const std::int64_t before = cpu_ns(runner);
    const core::TimePoint begun = core::monotonic_now();
    std::this_thread::sleep_for(kAwakeSample);
    const auto wall = std::chrono::nanoseconds(core::monotonic_now() - begun).count();
    return is_much_of(wall, cpu_ns(runner) - before);
}

/// Whether the runner, whose clock stands, would compute if it had a core. Without this question
/// more than some three tasks a core could not be told from blocked ones, and each that came in
/// therefore made the others look more like them: 39 hashing tasks at once on two cores.
bool waits_for_core(const Runner* runner) {
    return gil_waiters_are_visible() &&
           look_where_asleep(runner->native_id.load(std::memory_order_relaxed)) == Asleep::no;
}

/// Whether the runner computed between the last sample of its present task and this one, or did so
/// before and has not slept since.
bool computes(Runner* runner, core::TimePoint now) {
    const std::uint64_t task = runner->task.load(std::memory_order_relaxed);
    if (task == 0) {
        return false;
    }
    if (runner->sampled_task == task && now - runner->sampled_at < kShortestSample) {
        return runner->was_computing;
    }
    const std::int64_t cpu = cpu_ns(runner);
    if (runner->sampled_task == task) {
        const auto wall = std::chrono::nanoseconds(now - runner->sampled_at).count();
        // Asked only of those that computed: of thousands of sleepers it would cost 10 us each.
        runner->was_computing =
            cpu >= 0 &&
            (is_much_of(wall, cpu - runner->sampled_cpu_ns) ||
             (runner->was_computing.load(std::memory_order_relaxed) && waits_for_core(runner)));
    }
    // A worker that computed all through its last task most likely does so in the next: its first
    // sample keeps the old judgement.
    runner->sampled_task = task;
    runner->sampled_at = now;
    runner->sampled_cpu_ns = cpu;
    return runner->was_computing;
}

core::TimePoint::duration since_last_look(core::TimePoint now) {
    return now.time_since_epoch() -
           core::TimePoint::duration(g_looked_at.load(std::memory_order_relaxed));
}

}  // namespace

void list_runner(Runner* runner) {
    if (runner->slot >= 0 &&
        g_slots[static_cast<std::size_t>(runner->slot)].load(std::memory_order_relaxed) == runner) {
        return;
    }
    constexpr int kTries = 4;
    for (int i = 0; i < kTries; ++i) {
        const unsigned slot = g_next_slot++ % slots().size();
        const Runner* const there = g_slots[slot].load(std::memory_order_relaxed);
        if (there == nullptr || !there->was_computing.load(std::memory_order_relaxed) ||
            there->task.load(std::memory_order_relaxed) == 0) {
            runner->slot = static_cast<int>(slot);
            g_slots[slot].store(runner, std::memory_order_relaxed);
            return;
        }
    }
}

bool cores_are_taken(core::TimePoint now) {
    const PyThreadState* const holder = gil_words_are_readable() ? gil_holder() : nullptr;
    if (holder != nullptr && is_of_listed_runner(holder)) {
        return false;  // tasks compute under the GIL: several that take turns are no reason to wait
    }
    if (since_last_look(now) >= kLookEvery) {
        int computing = 0;
        for (const std::atomic<Runner*>& slot : slots()) {
            Runner* const runner = slot.load(std::memory_order_relaxed);
            computing += runner != nullptr && computes(runner, now) ? 1 : 0;
        }
        g_computing.store(computing, std::memory_order_relaxed);
        g_looked_at.store(now.time_since_epoch().count(), std::memory_order_relaxed);
    }
    return g_computing.load(std::memory_order_relaxed) >= core_count();
}

bool others_take_the_cores(const Runner* runner, core::TimePoint now) {
    const int itself = runner->was_computing.load(std::memory_order_relaxed) ? 1 : 0;
    return g_computing.load(std::memory_order_relaxed) - itself >= core_count() &&
           since_last_look(now) < kGoodFor;
}

bool some_runner_wants_gil(std::uint64_t term) {
    return std::ranges::any_of(slots(), [term](const auto& slot) {
        const Runner* const runner = slot.load(std::memory_order_relaxed);
        if (runner == nullptr || runner->term.load(std::memory_order_relaxed) != term) {
            return false;
        }
        const Asleep asleep = look_where_asleep(runner->native_id.load(std::memory_order_relaxed));
        return is_for_gil(asleep) || (asleep == Asleep::no && !is_on_a_core(runner));
    });
}

bool is_of_listed_runner(const PyThreadState* state) {
    return std::ranges::any_of(slots(), [state](const auto& slot) {
        const Runner* const runner = slot.load(std::memory_order_relaxed);
        return runner != nullptr && runner->state.load(std::memory_order_relaxed) == state;
    });
}

void forget_listed_runners() {
    for (std::atomic<Runner*>& slot : g_slots) {
        slot.store(nullptr);
    }
    g_computing.store(0);
}

}  // namespace gilpool::bindings
