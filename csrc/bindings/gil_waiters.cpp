// bindings/gil_waiters.cpp: reads where threads sleep, and learns where the GIL is waited for.
#include "bindings/gil_waiters.hpp"

#include <Python.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "bindings/compat.hpp"
#include "bindings/gil.hpp"
#include "bindings/spinning.hpp"
#include "core/clock.hpp"
#include "core/native_thread.hpp"
#include "core/service_thread.hpp"

namespace gilpool::bindings {

namespace {

/// The futex word of a condition variable is one of two neighbours.
constexpr std::uintptr_t kNeighbour = sizeof(std::uint32_t);
/// A thread that has asked for the GIL sleeps within some 20 us, if it gets the CPU.
constexpr std::chrono::milliseconds kSleepsWithin{50};
constexpr std::chrono::microseconds kBetweenLooks{50};
constexpr int kLooksThatAgree = 3;

/// 0: not found.
std::atomic<std::uintptr_t> g_futex{0};
bool g_tried = false;  // GIL

constexpr std::uintptr_t kNone = 0;
constexpr std::uintptr_t kAwake = 1;  // no futex has an odd address

/// The futex on which the thread sleeps, or one of these.
std::uintptr_t futex_of(int native_id) {
#ifdef __linux__
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/task/%d/syscall", native_id);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return kNone;
    }
    char text[64];
    const ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) {
        return kNone;
    }
    text[length] = '\0';
    // "running", or the number of the system call and its arguments.
    char* rest = nullptr;
    const long call = std::strtol(text, &rest, 10);
    if (rest == text) {
        return kAwake;
    }
    return call == SYS_futex ? static_cast<std::uintptr_t>(std::strtoull(rest, nullptr, 16))
                             : kNone;
#else
    static_cast<void>(native_id);
    return kNone;
#endif
}

std::atomic<int> g_asker{0};

/// Asks for the GIL once. What it may wait for before that is not the GIL's futex.
void ask(void* interpreter) {
    PyThreadState* const state = PyThreadState_New(static_cast<PyInterpreterState*>(interpreter));
    g_asker.store(static_cast<int>(core::kernel_id()));
    PyEval_RestoreThread(state);
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();  // lets the GIL go
}

void let_asker_begin() {
    if constexpr (kNewThreadStateNeedsGil) {
        const Released released;
        spin_until(kSleepsWithin, [] { return g_asker.load() != 0; });
    }
}

/// Where the asker sleeps while the GIL is held here: the same place at several looks, or 0.
std::uintptr_t see_asker_sleep() {
    const core::TimePoint deadline = core::monotonic_now() + kSleepsWithin;
    std::uintptr_t seen = 0;
    for (int agreeing = 0; agreeing < kLooksThatAgree;) {
        if (core::monotonic_now() > deadline) {
            return 0;
        }
        spin_until(kBetweenLooks, [] { return false; });
        const int asker = g_asker.load();
        const std::uintptr_t now = asker != 0 ? futex_of(asker) : kNone;
        agreeing = now > kAwake && now == seen ? agreeing + 1 : 0;
        seen = now;
    }
    return seen;
}

}  // namespace

bool gil_waiters_are_visible() {
    if (!g_tried) {
        g_tried = true;
        core::ServiceThread asker;
        if (asker.start("gilpool-asks", &ask, PyInterpreterState_Get())) {
            let_asker_begin();
            const std::uintptr_t futex = see_asker_sleep();
            {
                const Released released;
                asker.join();
            }
            g_futex.store(futex);
        }
    }
    return g_futex.load(std::memory_order_relaxed) != 0;
}

Asleep look_where_asleep(int native_id) {
    const std::uintptr_t futex = g_futex.load(std::memory_order_relaxed);
    const std::uintptr_t sleeps_on = futex_of(native_id);
    if (sleeps_on == kAwake) {
        return Asleep::no;
    }
    return sleeps_on + kNeighbour >= futex && sleeps_on <= futex + kNeighbour ? Asleep::at_gil
                                                                              : Asleep::elsewhere;
}

}  // namespace gilpool::bindings
