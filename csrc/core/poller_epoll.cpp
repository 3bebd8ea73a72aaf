// The poller on Linux: epoll, an eventfd to wake it, and the finest time-out that the kernel has.
// One thread waits; any thread may wake it and watch descriptors meanwhile. No lock is taken.
#include "core/poller.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>

namespace gilpool::core {
namespace {

/// Tags of the poller's own descriptors; the reactor's tags have a small fd in their lower half.
constexpr std::uint64_t kWakerTag = UINT64_MAX;
constexpr std::uint64_t kTimerTag = UINT64_MAX - 1;

/// How many events one wait takes from the kernel (12 bytes each, on the waiting thread's stack).
constexpr std::size_t kEventsPerWait = 512;

timespec to_timespec(Duration duration) noexcept {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
    return {static_cast<time_t>(seconds.count()), static_cast<long>((duration - seconds).count())};
}

/// Rounded up: a wait never ends early.
int to_milliseconds(Duration duration) noexcept {
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
    return static_cast<int>(std::min<std::int64_t>(rounded, INT_MAX));
}

/// epoll_pwait2 (Linux 5.11) by number: the C library that wheels are built against lacks it.
int wait_nanoseconds(int queue, std::span<epoll_event> events, const timespec* timeout) noexcept {
#ifdef SYS_epoll_pwait2
    return static_cast<int>(::syscall(SYS_epoll_pwait2, queue, events.data(),
                                      static_cast<int>(events.size()), timeout, nullptr, 0));
#else
    (void)queue, (void)events, (void)timeout;
    errno = ENOSYS;
    return -1;
#endif
}

bool waits_nanoseconds(int queue) noexcept {
    // Older kernels say ENOSYS, older container sandboxes EPERM: any error means "not here".
    std::array<epoll_event, 1> events;
    const timespec at_once{};
    return wait_nanoseconds(queue, events, &at_once) >= 0;
}

epoll_event make_event(Readiness interest, std::uint64_t tag) noexcept {
    epoll_event event{};
    event.events = EPOLLONESHOT | (interest.readable ? EPOLLIN | EPOLLRDHUP : 0u) |
                   (interest.writable ? static_cast<unsigned>(EPOLLOUT) : 0u);
    event.data.u64 = tag;
    return event;
}

}  // namespace

int Poller::open() noexcept {
    if (is_open()) {
        return 0;
    }
    const auto fail = [this]() noexcept {
        const int error = errno;
        close();
        return error;
    };
    queue_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (queue_ < 0) {
        return fail();
    }
    waker_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (waker_ < 0) {
        return fail();
    }
    // Edge-triggered: every write is an event of its own, so that nobody has to read the counter.
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = kWakerTag;
    if (::epoll_ctl(queue_, EPOLL_CTL_ADD, waker_, &event) != 0) {
        return fail();
    }
    if (timing_ == Timing::nanoseconds && !waits_nanoseconds(queue_)) {
        timing_ = Timing::timer_descriptor;
    }
    if (timing_ == Timing::timer_descriptor) {
        timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        event.data.u64 = kTimerTag;
        if (timer_ < 0 || ::epoll_ctl(queue_, EPOLL_CTL_ADD, timer_, &event) != 0) {
            timing_ = Timing::milliseconds;
        }
    }
    return 0;
}

void Poller::close() noexcept {
    for (int* const descriptor : {&queue_, &waker_, &timer_}) {
        if (*descriptor >= 0) {
            ::close(*descriptor);
            *descriptor = -1;
        }
    }
}

void Poller::wake() noexcept {
    // Fails only with the counter at 2^64 - 2, which one write per wake-up does not reach.
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(waker_, &one, sizeof one);
}

int Poller::watch(int fd, Readiness interest, std::uint64_t tag) noexcept {
    epoll_event event = make_event(interest, tag);
    return ::epoll_ctl(queue_, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

int Poller::rewatch(int fd, Readiness interest, std::uint64_t tag) noexcept {
    epoll_event event = make_event(interest, tag);
    return ::epoll_ctl(queue_, EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : errno;
}

void Poller::unwatch(int fd) noexcept {
    ::epoll_ctl(queue_, EPOLL_CTL_DEL, fd, nullptr);
}

std::size_t Poller::wait(Duration timeout, std::span<ReadyEvent> events) noexcept {
    std::array<epoll_event, kEventsPerWait> taken;
    const std::span room = std::span(taken).first(std::min(events.size(), taken.size()));
    const bool forever = timeout == kForever;
    const timespec left = to_timespec(std::max(timeout, Duration::zero()));
    int count = 0;
    if (timing_ == Timing::nanoseconds) {
        count = wait_nanoseconds(queue_, room, forever ? nullptr : &left);
    } else {
        int milliseconds = forever ? -1 : to_milliseconds(std::max(timeout, Duration::zero()));
        if (timing_ == Timing::timer_descriptor && milliseconds > 0) {
            const itimerspec setting{{}, left};
            if (::timerfd_settime(timer_, 0, &setting, nullptr) == 0) {
                milliseconds = -1;
            }
        }
        count = ::epoll_wait(queue_, room.data(), static_cast<int>(room.size()), milliseconds);
    }
    std::size_t filled = 0;
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = taken[i];
        if (event.data.u64 == kWakerTag || event.data.u64 == kTimerTag) {
            continue;
        }
        const bool broken = (event.events & (EPOLLERR | EPOLLHUP)) != 0;
        events[filled++] = {event.data.u64,
                            {broken || (event.events & (EPOLLIN | EPOLLRDHUP)) != 0,
                             broken || (event.events & EPOLLOUT) != 0}};
    }
    return filled;
}

}  // namespace gilpool::core
