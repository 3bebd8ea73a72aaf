// Intake: what is done under the pool's lock.
#include "core/intake.hpp"

#include <algorithm>

namespace gilpool::core {

std::size_t Intake::pop(Job* out, std::size_t most) noexcept {
    const std::uint64_t head = popped();
    const std::size_t wanted = std::min(most, size());
    std::size_t taken = 0;
    for (; taken < wanted; ++taken) {
        Slot& slot = slots_[(head + taken) % kSlots];
        // Acquire pairs with the release in publish().
        const Job::Function function = slot.function.load(std::memory_order_acquire);
        if (function == nullptr) {
            break;
        }
        out[taken] = {function, slot.context.load(std::memory_order_relaxed)};
        slot.function.store(nullptr, std::memory_order_relaxed);
    }
    if (taken != 0) {
        // Release pairs with the acquire in reserve(): who fills these slots again does so after
        // they were read and emptied.
        head_.store(head + taken, std::memory_order_release);
    }
    return taken;
}

bool Intake::ask_for_calls() noexcept {
    // See the invariant for the order. Asked already, it has been heard by every poster since.
    if (!call_.load(std::memory_order_relaxed)) {
        call_.store(true, std::memory_order_seq_cst);
    }
    return (word_.load(std::memory_order_seq_cst) & kTickets) != popped();
}

bool Intake::all_published() const noexcept {
    const std::uint64_t end = posted();
    for (std::uint64_t ticket = popped(); ticket != end; ++ticket) {
        if (slots_[ticket % kSlots].function.load(std::memory_order_relaxed) == nullptr) {
            return false;
        }
    }
    return true;
}

}  // namespace gilpool::core
