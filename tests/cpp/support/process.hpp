// What a test wants to know about its own process, and children that cannot hang it.
// The counting functions may be called by any thread.
#pragma once

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
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

/// Bytes of memory that this process has in use, as the kernel counts them.
inline std::size_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::size_t total = 0, resident = 0;
    file >> total >> resident;
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

enum class ChildSays { yes, no, nothing };

/// ask_child() forks, runs `body()` in the child and returns its answer; a child that has none
/// after `patience_ms` is killed.
template <class Body>
ChildSays ask_child(Body body, int patience_ms = 60'000) {
    const pid_t child = fork();
    if (child == 0) {
        _exit(body() ? 0 : 1);
    }
    if (child < 0) {
        return ChildSays::no;
    }
    // Not alarm(): a child that hangs with all signals blocked would outlive it.
    const int handle = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
    pollfd end{handle, POLLIN, 0};
    int ready = 0;
    do {
        ready = handle < 0 ? 1 : poll(&end, 1, patience_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        kill(child, SIGKILL);
    }
    if (handle >= 0) {
        close(handle);
    }
    int status = -1;
    const bool yes = waitpid(child, &status, 0) == child && status == 0;
    return yes ? ChildSays::yes : ready == 0 ? ChildSays::nothing : ChildSays::no;
}

template <class Body>
bool in_child(Body body) {
    return ask_child(body) == ChildSays::yes;
}

/// The same for a fork amid other threads at work. One of them may hold a lock of the sanitizer's
/// (GCC 12's ThreadSanitizer has no fork handler for that of its clocks: one fork of 17,000), which
/// the child then waits for in its first free(): that is no answer of ours. The plain build, in
/// which no answer is a failure, forks in the same way.
template <class Body>
bool in_child_of_busy_process(Body body) {
    constexpr int kLongForAChildThatOnlyLeaves = 20'000;
    return kSanitized ? ask_child(body, kLongForAChildThatOnlyLeaves) != ChildSays::no
                      : in_child(body);
}

}  // namespace gilpool::testing
