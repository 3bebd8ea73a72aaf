// What a test wants to know about its own process, and children that cannot hang it.
// The counting functions may be called by any thread.
#pragma once

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace gilpool::testing {

/// True in a build whose sanitizer changes what a process needs (memory, threads, time for a fork).
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

inline std::size_t entries_in(const char* directory) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        static_cast<void>(entry);
        ++count;
    }
    return count;
}

inline std::size_t open_descriptors() {
    return entries_in("/proc/self/fd");
}
inline std::size_t threads_of_this_process() {
    return entries_in("/proc/self/task");
}

/// Mapped regions: thread stacks and large blocks that are not given back show here.
inline std::size_t mappings() {
    std::ifstream maps("/proc/self/maps");
    return static_cast<std::size_t>(
        std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n'));
}

/// Bytes that are allocated and not freed, in all threads if the program has one heap for all.
inline std::size_t heap_in_use() {
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    return mallinfo2().uordblks;
#else
    return 0;
#endif
}

/// in_child() forks, runs `body()` in the child and returns its answer; a child that needs more
/// than a minute is killed by its alarm and counts as false.
template <class Body>
bool in_child(Body body) {
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(body() ? 0 : 1);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace gilpool::testing
