// bindings/computing.cpp: samples the CPU clocks of runners that began a task lately.
//
// A runner that is off the GIL while its CPU clock runs computes; one whose clock stands is blocked
// or waits for the GIL. Reading a clock takes 0.2 us, so with thousands of sleepers not all are
// read: a fixed number of slots holds the latest starters, and one seen computing keeps its slot.
#include "bindings/computing.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "bindings/gil_waiters.hpp"
#include "bindings/gil_words.hpp"
#include "core/limits.hpp"

namespace gilpool::bindings {

namespace {

constexpr int kSlots = 16;
/// The CPU clock of a thread that runs all the time gains this in a moment that can be told from
/// noise.
constexpr std::chrono::microseconds kShortestSample{100};
/// A look at all slots takes 3-6 us; this often it costs 1 %.
constexpr std::chrono::microseconds kLookEvery{500};
/// Computing threads on an overloaded machine get less than a core; sleepers use less than this.
constexpr int kComputingPercent = 30;
/// What a computing thread needs to be told from one that is about to run: that may take over a
/// millisecond after it was woken, and its clock stands until then.
constexpr std::chrono::microseconds kAwakeSample{50};

std::array<std::atomic<Runner*>, kSlots> g_slots{};
unsigned g_next_slot = 0;  // GIL

int core_count() {
    static std::atomic<int> answer{0};
    int known = answer.load(std::memory_order_relaxed);
    if (known == 0) {
        known = static_cast<int>(core::usable_cores());
        answer.store(known, std::memory_order_relaxed);
    }
    return known;
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

/// Whether the runner computed between the last sample of its present task and this one.
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
        runner->was_computing = cpu >= 0 && is_much_of(wall, cpu - runner->sampled_cpu_ns);
    }
    // A worker that computed all through its last task most likely does so in the next: its first
    // sample keeps the old judgement.
    runner->sampled_task = task;
    runner->sampled_at = now;
    runner->sampled_cpu_ns = cpu;
    return runner->was_computing;
}

}  // namespace

void list_runner(Runner* runner) {
    if (runner->slot >= 0 &&
        g_slots[static_cast<std::size_t>(runner->slot)].load(std::memory_order_relaxed) == runner) {
        return;
    }
    constexpr int kTries = 4;
    for (int i = 0; i < kTries; ++i) {
        const unsigned slot = g_next_slot++ % kSlots;
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
    static constinit core::TimePoint looked_at;  // the spare's own, like the samples
    static constinit bool answer = false;
    if (now - looked_at < kLookEvery) {
        return answer;
    }
    looked_at = now;
    int computing = 0;
    for (const std::atomic<Runner*>& slot : g_slots) {
        Runner* const runner = slot.load(std::memory_order_relaxed);
        computing += runner != nullptr && computes(runner, now) ? 1 : 0;
    }
    answer = computing >= core_count();
    return answer;
}

bool some_runner_wants_gil(std::uint64_t term) {
    return std::any_of(g_slots.begin(), g_slots.end(), [term](const auto& slot) {
        const Runner* const runner = slot.load(std::memory_order_relaxed);
        if (runner == nullptr || runner->term.load(std::memory_order_relaxed) != term) {
            return false;
        }
        const Asleep asleep = look_where_asleep(runner->native_id.load(std::memory_order_relaxed));
        return is_for_gil(asleep) || (asleep == Asleep::no && !is_on_a_core(runner));
    });
}

bool is_of_listed_runner(const PyThreadState* state) {
    return std::any_of(g_slots.begin(), g_slots.end(), [state](const auto& slot) {
        const Runner* const runner = slot.load(std::memory_order_relaxed);
        return runner != nullptr && runner->state == state;
    });
}

void forget_listed_runners() {
    for (std::atomic<Runner*>& slot : g_slots) {
        slot.store(nullptr);
    }
}

}  // namespace gilpool::bindings
