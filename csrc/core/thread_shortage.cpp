// ThreadShortage: a flag, and one sleep in the reactor that is armed while the flag is set.
//
// Invariant: the flag is set after every refusal and cleared only by who then asks for every pool,
// so it is clear only if nothing is missing or an asker is under way that will set it again if need
// be. Whose alarm finds it clear sets the alarm anew in the second case: the asker may be one who
// must not call the reactor.
#include "core/thread_shortage.hpp"

#include <algorithm>
#include <new>

#include "core/reactor.hpp"

namespace gilpool::core {

namespace {

std::atomic<bool (*)()> asker{nullptr};
/// Who is between clearing the flag and having set it again. Counted down after the flag is set,
/// and read before it is: so who sees nobody sees what they have set.
std::atomic<unsigned> askers_under_way{0};
/// Asked in vain since the last time that nothing was missing.
std::atomic<unsigned> failures{0};

/// The batch function: the one sleep is over.
void on_due(TimedWait* wait, void*) noexcept {
    if (wait->result() != WaitEnd::due) {
        return;
    }
    ThreadShortage::ask_again();
    // Also if it could not even ask, as a pool was being made or destroyed: nobody else may come.
    if (askers_under_way.load(std::memory_order_acquire) != 0 || ThreadShortage::exists()) {
        ThreadShortage::call_reactor();
    }
}

struct Alarm {
    Alarm() : wait(Reactor::process().add_client(&on_due, nullptr)) {}
    TimedWait wait;
};

/// Made by the first pool, before there can be a shortage; never destroyed.
std::atomic<Alarm*> alarm{nullptr};

std::chrono::milliseconds pause_after(unsigned failed) noexcept {
    constexpr unsigned kMostDoublings = 10;
    return std::min(ThreadShortage::kFirstPause * (1U << std::min(failed, kMostDoublings)),
                    ThreadShortage::kLongestPause);
}

}  // namespace

std::atomic<bool> ThreadShortage::exists_{false};

void ThreadShortage::set_asker(bool (*how)()) {
    if (asker.exchange(how, std::memory_order_acq_rel) == nullptr) {
        alarm.store(new Alarm, std::memory_order_release);
    }
}

void ThreadShortage::call_reactor() noexcept {
    if (Alarm* const ours = alarm.load(std::memory_order_acquire)) {
        const auto pause = pause_after(failures.load(std::memory_order_relaxed));
        // Armed already, or no reactor to be had: then there is nothing more to do.
        static_cast<void>(
            Reactor::process().arm(ours->wait, deadline_after(monotonic_now(), pause)));
    }
}

void ThreadShortage::ask_again() noexcept {
    auto* const ask = asker.load(std::memory_order_acquire);
    // Before the exchange, whose reader has to see it.
    askers_under_way.fetch_add(1, std::memory_order_relaxed);
    const bool existed = exists_.exchange(false, std::memory_order_acq_rel);
    const bool asked = existed && ask != nullptr && ask();
    if (existed && !asked) {
        begin();
    }
    askers_under_way.fetch_sub(1, std::memory_order_release);
    if (!asked) {
        return;
    }
    if (exists()) {
        failures.fetch_add(1, std::memory_order_relaxed);
        call_reactor();
    } else {
        failures.store(0, std::memory_order_relaxed);
    }
}

void ThreadShortage::forget() noexcept {
    exists_.store(false, std::memory_order_relaxed);
    askers_under_way.store(0, std::memory_order_relaxed);
}

TimePoint ThreadShortage::Naps::next_end() noexcept {
    if (!exists()) {
        return kNever;
    }
    const TimePoint end = deadline_after(monotonic_now(), length_);
    length_ = std::min(2 * length_, kLongestPause);
    return end;
}

}  // namespace gilpool::core
