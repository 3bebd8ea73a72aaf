// Counters by thread, summed when somebody asks.
#include "evidence.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

namespace gilpool::benchmarks {
namespace {

struct alignas(64) Slot {
    std::atomic<std::uint64_t> count{0};
};

/// More than the threads that all contests of one process can have, the blocking ones apart.
constexpr std::size_t kSlots = 4096;
std::array<Slot, kSlots> slots;
std::atomic<std::size_t> slots_taken{0};
thread_local Slot* own_slot = nullptr;

/// Apart from count_task(), which then needs no stack frame.
[[gnu::noinline]] void take_slot() {
    own_slot = &slots.at(slots_taken.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

void count_task(void*) {
    if (own_slot == nullptr) {
        take_slot();
    }
    // One writer, so no read-modify-write; release, for who sees the count and then asks for more.
    own_slot->count.store(own_slot->count.load(std::memory_order_relaxed) + 1,
                          std::memory_order_release);
}

void forget_tasks() {
    for (Slot& slot : slots) {
        slot.count.store(0, std::memory_order_relaxed);
    }
}

std::uint64_t tasks_counted() {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < slots_taken.load(std::memory_order_relaxed); ++i) {
        total += slots[i].count.load(std::memory_order_acquire);
    }
    return total;
}

bool wait_for_tasks(std::uint64_t count) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (tasks_counted() < count) {
        if (std::chrono::steady_clock::now() > give_up) {
            return false;
        }
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return true;
}

void check_tasks(benchmark::State& state, std::uint64_t count, std::size_t most_threads) {
    std::size_t threads = 0;
    for (const Slot& slot : slots) {
        threads += slot.count.load(std::memory_order_acquire) != 0 ? 1 : 0;
    }
    const std::uint64_t counted = tasks_counted();
    const bool on_caller = own_slot != nullptr && own_slot->count.load() != 0;
    if (counted != count) {
        const std::string message =
            std::to_string(counted) + " tasks ran instead of " + std::to_string(count);
        state.SkipWithError(message.c_str());
    } else if (on_caller) {
        state.SkipWithError("a task ran on the submitter's thread");
    } else if (threads > most_threads) {
        state.SkipWithError(("tasks ran on " + std::to_string(threads) + " threads").c_str());
    }
    state.counters["threads"] = static_cast<double>(threads);
}

}  // namespace gilpool::benchmarks
