// bindings/hold_sampler.cpp: the watching thread.
#include "bindings/hold_sampler.hpp"

#include <algorithm>
#include <chrono>

#include "bindings/compat.hpp"

namespace gilpool::bindings {

namespace {

constexpr std::chrono::microseconds kShortestNap{25};
constexpr std::chrono::microseconds kLongestNap{75};

/// If nobody else wants the GIL, two looks further apart than this say nothing about what was
/// between them, so no stretch reaches across.
constexpr std::int64_t kBlindNs = 2'000'000;

/// Close looks between two at whether it is over, and at the time; they take some 5 us. If they
/// took longer than this, the thread had no CPU.
constexpr int kLooksAtATime = 100;
constexpr std::int64_t kLooksTakeNs = 50'000;

constexpr double kSecondsPerNanosecond = 1e-9;

/// Adds to a counter that only the calling thread writes.
template <typename Number>
void add(std::atomic<Number>& counter, Number amount) {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

}  // namespace

bool HoldSampler::start(Manner manner) {
    manner_ = manner;
    watched_ = PyThreadState_Get();
    held_ns_ = released_ns_ = longest_ns_ = 0;
    looks_ = releases_ = 0;
    blind_ns_ = 0;
    return thread_.start([](void* self) { static_cast<HoldSampler*>(self)->run(); }, this);
}

void HoldSampler::stop() {
    if (thread_.running()) {
        stop_.release();
        thread_.join();
    }
}

HoldSampler::Seen HoldSampler::seen() const {
    return {.held = static_cast<double>(held_ns_.load()) * kSecondsPerNanosecond,
            .released = static_cast<double>(released_ns_.load()) * kSecondsPerNanosecond,
            .longest = static_cast<double>(longest_ns_.load()) * kSecondsPerNanosecond,
            .looks = looks_.load(),
            .releases = releases_.load(),
            .blind = static_cast<double>(blind_ns_.load()) * kSecondsPerNanosecond};
}

void HoldSampler::run() {
    if (manner_ == Manner::closely) {
        watch_closely();
    } else {
        watch();
    }
}

/// A call begins and ends with the GIL held, so if it is not held between two looks at one and the
/// same call, the call let it go.
void HoldSampler::watch_closely() {
    std::int64_t looked = core::monotonic_now().time_since_epoch().count();
    while (!stop_.try_acquire()) {
        const std::int64_t now = core::monotonic_now().time_since_epoch().count();
        if (now - looked > kLooksTakeNs) {
            add(blind_ns_, now - looked);
        }
        looked = now;
        for (int i = 0; i < kLooksAtATime; ++i) {
            const std::uint64_t call = calls_.load(std::memory_order_acquire);
            if (call % 2 == 0 || gil_holder() == watched_) {
                continue;
            }
            // The interpreter's words are plain: this keeps them before the second look.
            std::atomic_thread_fence(std::memory_order_acquire);
            if (calls_.load(std::memory_order_relaxed) == call) {
                add(releases_, std::uint64_t{1});
            }
        }
    }
}

void HoldSampler::watch() {
    const bool contested = manner_ == Manner::contested;
    Naps naps(kShortestNap, kLongestNap);
    std::int64_t last_look = core::monotonic_now().time_since_epoch().count();
    std::int64_t stretch_began = 0;  // 0: the last look found the GIL not held
    std::uint64_t stretch_call = 0;
    unsigned long last_switches = 0;
    while (!naps.take(stop_)) {
        // One look at each, and no second one to see whether they belong together: that would drop
        // looks at the beginning and the end of calls, where the GIL is held. So what the one blurs
        // at the beginning of short calls the other makes up for at their end.
        const bool held = holds_gil(watched_);
        const unsigned long switches = gil_switches();
        const std::uint64_t call = calls_.load(std::memory_order_acquire);
        const std::int64_t began = call_began_ns_.load(std::memory_order_relaxed);
        const unsigned long call_switches = call_switches_.load(std::memory_order_relaxed);
        const std::int64_t now = core::monotonic_now().time_since_epoch().count();
        const std::int64_t since = last_look;
        last_look = now;
        if (call % 2 == 0) {
            stretch_began = 0;
            continue;
        }
        // A look stands for the time since the one before: one that comes late, because the machine
        // is busy, counts for more.
        add(held ? held_ns_ : released_ns_, now - since);
        add(looks_, std::uint64_t{1});
        const bool first_of_call = stretch_call != call;
        stretch_call = call;
        const unsigned long before = first_of_call ? call_switches : last_switches;
        last_switches = switches;
        if (!held) {
            stretch_began = 0;
            continue;
        }
        const std::int64_t known_held =
            first_of_call ? began : since;  // a call begins with the GIL
        const bool unbroken = contested ? switches == before : now - known_held < kBlindNs;
        if (first_of_call) {
            stretch_began = unbroken ? began : now;
        } else if (stretch_began == 0 || !unbroken) {
            stretch_began = now;
        }
        longest_ns_.store(
            std::max(longest_ns_.load(std::memory_order_relaxed), now - stretch_began),
            std::memory_order_relaxed);
    }
}

}  // namespace gilpool::bindings
