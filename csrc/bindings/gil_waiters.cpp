// bindings/gil_waiters.cpp: reads in procfs where threads sleep.
#include "bindings/gil_waiters.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "bindings/gil_words.hpp"
#include "core/native_thread.hpp"

namespace gilpool::bindings {

namespace {

/// A look at a thread takes 10 us, and to read its name 1 us.
constexpr int kMostLooks = 16;
constexpr int kMostNames = 256;

constexpr std::uintptr_t kNoFutex = 0;
constexpr std::uintptr_t kAwake = 1;  // no futex has an odd address

/// The futex on which the thread sleeps, or one of these; nothing if that cannot be read.
std::optional<std::uintptr_t> futex_of(int native_id) {
#ifdef __linux__
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", native_id);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return std::nullopt;
    }
    char text[64];
    const ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) {
        return std::nullopt;
    }
    text[length] = '\0';
    // "running", or the number of the system call and its arguments.
    char* rest = nullptr;
    const long call = std::strtol(text, &rest, 10);
    if (rest == text) {
        return kAwake;
    }
    return call == SYS_futex ? static_cast<std::uintptr_t>(std::strtoull(rest, nullptr, 16))
                             : kNoFutex;
#else
    static_cast<void>(native_id);
    return std::nullopt;
#endif
}

constexpr int kUnknown = 0;
constexpr int kReadable = 1;
constexpr int kHidden = 2;
std::atomic<int> g_own_entry{kUnknown};

bool own_entry_is_readable() {
    return futex_of(static_cast<int>(core::kernel_id())).has_value();
}

}  // namespace

bool gil_waiters_are_visible() {
    // No function-local static: a fork amid its making would leave it locked in the child.
    int known = g_own_entry.load(std::memory_order_relaxed);
    if (known == kUnknown) {
        known = own_entry_is_readable() ? kReadable : kHidden;
        g_own_entry.store(known, std::memory_order_relaxed);
    }
    return known == kReadable && gil_words_are_readable();
}

Asleep look_where_asleep(int native_id) {
    const std::uintptr_t sleeps_on = futex_of(native_id).value_or(kNoFutex);
    if (sleeps_on == kAwake) {
        return Asleep::no;
    }
    if (is_queue_of_gil(sleeps_on)) {
        return Asleep::in_queue;
    }
    return is_futex_of_gil(sleeps_on) ? Asleep::at_gil : Asleep::elsewhere;
}

std::size_t find_in_queue(std::span<int> found, bool (*is_passed_over)(int native_id)) {
    std::size_t count = 0;
    DIR* const threads = opendir("/proc/self/task");
    if (threads == nullptr) {
        return count;
    }
    int looks = 0;
    for (int names = 0; names < kMostNames && looks < kMostLooks && count < found.size(); ++names) {
        const dirent* const entry = readdir(threads);
        if (entry == nullptr) {
            break;
        }
        const int native_id = std::atoi(entry->d_name);  // 0: not a thread
        if (native_id != 0 && !is_passed_over(native_id)) {
            ++looks;
            if (look_where_asleep(native_id) == Asleep::in_queue) {
                found[count++] = native_id;
            }
        }
    }
    closedir(threads);
    return count;
}

}  // namespace gilpool::bindings
