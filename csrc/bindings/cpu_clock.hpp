// bindings/cpu_clock.hpp: how long the calling thread has computed. Any thread; a system call of
// 0.4 us.
#pragma once

#include <time.h>

#include <cstdint>

namespace gilpool::bindings {

/// Nanoseconds of CPU time that the calling thread has used.
inline std::int64_t thread_cpu_ns() {
    timespec used{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
}

}  // namespace gilpool::bindings
