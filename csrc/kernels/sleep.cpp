// kernels/sleep.cpp: one clock_nanosleep against an absolute deadline.
#include "kernels/sleep.hpp"

#include <cerrno>
#include <ctime>

namespace gilpool::kernels {

bool sleep_until(std::chrono::steady_clock::time_point deadline) noexcept {
    const auto since_boot =
        std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
    timespec until{};
    until.tv_sec = static_cast<std::time_t>(since_boot / 1'000'000'000);
    until.tv_nsec = static_cast<long>(since_boot % 1'000'000'000);
    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != EINTR;
}

}  // namespace gilpool::kernels
