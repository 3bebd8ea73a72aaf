// Signal masks, and the kernel's view of a thread.
#include "core/native_thread.hpp"

#include <initializer_list>

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#endif

namespace gilpool::core {

namespace {
struct HandedOn {
    sigset_t signals{};
    bool is_due = false;  // kept, and not open yet
};
thread_local HandedOn handed_on;
}  // namespace

#if defined(__linux__)
namespace {
/// The kernel lets go of a thread some microseconds after the join, if that thread gets the CPU:
/// asked so often with a yield between, then with a pause.
constexpr int kYields = 100;
constexpr int kPauses = 10'000;
constexpr timespec kPause{0, 100'000};
}  // namespace
#endif

SignalsBlocked::SignalsBlocked() noexcept {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) {
        sigdelset(&blocked, fault);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &before_);
}

SignalsBlocked::~SignalsBlocked() {
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

const sigset_t& SignalsBlocked::signals_to_hand_on() const noexcept {
    return handed_on.is_due ? handed_on.signals : before_;
}

void keep_handed_on(const sigset_t& signals) noexcept {
    handed_on = {.signals = signals, .is_due = true};
}

void open_signals() noexcept {
    if (handed_on.is_due) {
        handed_on.is_due = false;
        pthread_sigmask(SIG_SETMASK, &handed_on.signals, nullptr);
    }
}

long kernel_id() noexcept {
#if defined(__linux__)
    return syscall(SYS_gettid);
#else
    return 0;
#endif
}

bool known_to_kernel([[maybe_unused]] long id) noexcept {
#if defined(__linux__)
    const int saved_errno = errno;
    const bool known = syscall(SYS_tgkill, getpid(), id, 0) == 0 || errno != ESRCH;
    errno = saved_errno;
    return known;
#else
    return false;
#endif
}

void wait_until_forgotten([[maybe_unused]] long id) noexcept {
#if defined(__linux__)
    for (int look = 0; look < kYields + kPauses && known_to_kernel(id); ++look) {
        if (look < kYields) {
            sched_yield();
        } else {
            nanosleep(&kPause, nullptr);
        }
    }
#endif
}

}  // namespace gilpool::core
