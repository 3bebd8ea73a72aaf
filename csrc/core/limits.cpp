// core/limits.cpp: reads the limits of user, cgroup and kernel.
#include "core/limits.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace gilpool::core {

namespace {

constexpr std::size_t kMostThreads = 16'384;
constexpr std::size_t kFewestThreads = 8;
constexpr std::size_t kMapsPerThread = 2;  // the stack and its guard page

/// The number in a one-word file, or `otherwise` if there is none ("max", missing file).
std::size_t number_in(const char* path, std::size_t otherwise) {
    std::ifstream file(path);
    std::size_t value = 0;
    return file >> value ? value : otherwise;
}

}  // namespace

std::size_t thread_limit() {
    std::size_t limit = kMostThreads;
    // Half of each shared limit is left to the other threads and processes under it.
    rlimit user{};
    if (getrlimit(RLIMIT_NPROC, &user) == 0 && user.rlim_cur != RLIM_INFINITY) {
        limit = std::min<std::size_t>(limit, user.rlim_cur / 2);
    }
    constexpr std::size_t kUnlimited = kMostThreads * 4;
    limit = std::min(limit, number_in("/sys/fs/cgroup/pids.max", kUnlimited) / 2);
    limit = std::min(limit, number_in("/proc/sys/kernel/threads-max", kUnlimited) / 2);
    limit = std::min(limit, number_in("/proc/sys/kernel/pid_max", kUnlimited) / 2);
    limit = std::min(limit, number_in("/proc/sys/vm/max_map_count", kUnlimited * kMapsPerThread) /
                                2 / kMapsPerThread);
    return std::max(limit, kFewestThreads);
}

}  // namespace gilpool::core
