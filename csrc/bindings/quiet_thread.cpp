// bindings/quiet_thread.cpp: signal mask, timer slack and random naps.
#include "bindings/quiet_thread.hpp"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <csignal>

#include "core/clock.hpp"

namespace gilpool::bindings {

namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

bool start_quiet_thread(pthread_t* thread, void* (*function)(void*), void* context) {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
        sigdelset(&blocked, fault);
    }
    // The new thread inherits the mask, so that it never runs with a signal unblocked.
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    const bool started = pthread_create(thread, nullptr, function, context) == 0;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
}

pid_t native_thread_id() {
#ifdef __linux__
    return static_cast<pid_t>(syscall(SYS_gettid));
#else
    return 0;
#endif
}

Naps::Naps(std::chrono::nanoseconds shortest, std::chrono::nanoseconds longest)
    : shortest_ns_(shortest.count()),
      spread_ns_((longest - shortest).count() + 1),
      random_(static_cast<std::uint64_t>(core::monotonic_now().time_since_epoch().count()) | 1) {
#ifdef __linux__
    prctl(PR_SET_TIMERSLACK, 1);  // else the kernel adds up to 50 us to each nap
#endif
}

void Naps::take() {
    random_ ^= random_ << 13;  // xorshift
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    const auto ns =
        shortest_ns_ + static_cast<std::int64_t>(random_ % static_cast<std::uint64_t>(spread_ns_));
    const timespec nap{ns / kNanosecondsPerSecond, ns % kNanosecondsPerSecond};
    nanosleep(&nap, nullptr);
}

}  // namespace gilpool::bindings
