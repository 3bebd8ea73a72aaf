// What this process may use: cores (affinity, cgroup quota) and threads (rlimits, cgroup, kernel).
// Any thread; reads system files on each call, so callers keep the answer.
#pragma once

#include <cstddef>
#include <string>

namespace gilpool::core {

/// No limit that is read is ever trusted beyond this many threads.
inline constexpr std::size_t kMostThreads = 16'384;

/// usable_cores() returns how many threads can run at once: the affinity mask, capped by the CPU
/// quota of the cgroup (v1 or v2) and of its ancestors, rounded up; at least 1.
std::size_t usable_cores();

/// thread_allowance() returns how many threads this process may still create by RLIMIT_NPROC,
/// cgroup pids.max, threads-max, pid_max and max_map_count, less a reserve for others; 1 to
/// kMostThreads.
std::size_t thread_allowance();

/// The same with the system files read below `root` instead of "/", for tests.
/// `affinity` and `process_limit` stand for the two answers that come from system calls.
std::size_t usable_cores(const std::string& root, std::size_t affinity);
std::size_t thread_allowance(const std::string& root, std::size_t process_limit);

}  // namespace gilpool::core
