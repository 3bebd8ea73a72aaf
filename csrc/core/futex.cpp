// core/futex.cpp: the Linux system call behind core/futex.hpp.
#include "core/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace gilpool::core {

static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t),
              "the kernel looks at the plain 32-bit word");

FutexResult futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       TimePoint deadline) noexcept {
    timespec until{};
    if (deadline != kNever) {
        const auto since_boot =
            std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch());
        // A deadline before the clock's start is merely one that has passed.
        const auto count = since_boot.count() < 0 ? 0 : since_boot.count();
        until.tv_sec = static_cast<std::time_t>(count / 1'000'000'000);
        until.tv_nsec = static_cast<long>(count % 1'000'000'000);
    }
    // FUTEX_WAIT_BITSET takes an absolute CLOCK_MONOTONIC time, so an interrupted wait can be
    // continued without adding up what has been slept.
    const long rc = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                            deadline == kNever ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
    if (rc == -1 && errno == ETIMEDOUT) {
        return FutexResult::timed_out;
    }
    if (rc == -1 && errno == EINTR) {
        return FutexResult::interrupted;
    }
    return FutexResult::woken;
}

void futex_wake(const std::atomic<std::uint32_t>& word, int count) noexcept {
    syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, nullptr, nullptr, 0);
}

}  // namespace gilpool::core
