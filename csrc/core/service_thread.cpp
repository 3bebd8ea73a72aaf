// One native thread of the library's own: small, without signals, and truly gone after the join.
// Not thread-safe: the owner's lock guards every call.
#include "core/service_thread.hpp"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <csignal>
#include <ctime>

namespace gilpool::core {
namespace {

/// Plenty for code that is all ours, and little address space.
constexpr std::size_t kStackSize = 256 * 1024;

/// The kernel lets go of a thread some microseconds after the join, if that thread gets the CPU:
/// asked so often with a yield between, then with a pause, for one second at most.
constexpr int kYields = 100;
constexpr int kPauses = 10'000;
constexpr timespec kPause{0, 100'000};

sigset_t all_but_faults() noexcept {
    sigset_t signals;
    sigfillset(&signals);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
        sigdelset(&signals, fault);
    }
    return signals;
}

}  // namespace

bool ServiceThread::start(const char* name, Function function, void* context) noexcept {
    assert(!joinable_);
    function_ = function;
    context_ = context;
    pthread_attr_t attributes;
    if (::pthread_attr_init(&attributes) != 0) {
        return false;
    }
    ::pthread_attr_setstacksize(&attributes, std::max<std::size_t>(kStackSize, PTHREAD_STACK_MIN));
    // The new thread inherits the mask, so that it never runs with a signal unblocked.
    const sigset_t blocked = all_but_faults();
    sigset_t before;
    ::pthread_sigmask(SIG_SETMASK, &blocked, &before);
    joinable_ = ::pthread_create(&thread_, &attributes, &ServiceThread::enter, this) == 0;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_attr_destroy(&attributes);
#ifdef __linux__
    if (joinable_) {
        ::pthread_setname_np(thread_, name);
    }
#else
    (void)name;
#endif
    return joinable_;
}

void ServiceThread::join() noexcept {
    if (!joinable_) {
        return;
    }
    ::pthread_join(thread_, nullptr);
    joinable_ = false;
#ifdef __linux__
    for (int i = 0; i < kYields + kPauses; ++i) {
        if (::syscall(SYS_tgkill, ::getpid(), id_, 0) != 0 && errno == ESRCH) {
            break;
        }
        if (i < kYields) {
            ::sched_yield();
        } else {
            ::nanosleep(&kPause, nullptr);
        }
    }
#endif
}

void* ServiceThread::enter(void* self) noexcept {
    auto& thread = *static_cast<ServiceThread*>(self);
#ifdef __linux__
    thread.id_ = static_cast<pid_t>(::syscall(SYS_gettid));
#endif
    thread.function_(thread.context_);
    return nullptr;
}

}  // namespace gilpool::core
