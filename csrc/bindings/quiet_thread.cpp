// bindings/quiet_thread.cpp: start, joins, timer slack and random naps.
#include "bindings/quiet_thread.hpp"

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "bindings/gil.hpp"
#include "core/clock.hpp"
#include "core/native_thread.hpp"

namespace gilpool::bindings {

namespace {

/// How long the GIL is let go at a time while a thread that may need it ends.
constexpr std::chrono::milliseconds kJoinSlice{20};

}  // namespace

bool QuietThread::start(Function function, void* context) {
    function_ = function;
    context_ = context;
    const core::SignalsBlocked blocked;
    running_ = pthread_create(&thread_, nullptr, &QuietThread::enter, this) == 0;
    return running_;
}

void QuietThread::join() {
    if (running_) {
        pthread_join(thread_, nullptr);
        (void)done_.try_acquire();  // for the next start
        running_ = false;
    }
}

void QuietThread::join_letting_gil_go() {
    bool done = !running_;
    while (!done) {
        const Released released;
        done = done_.try_acquire_for(kJoinSlice);
    }
    join();
}

// Taking the GIL may unwind the thread when the interpreter ends: no frame here is in the way.
void* QuietThread::enter(void* self) {
    auto& thread = *static_cast<QuietThread*>(self);
    thread.function_(thread.context_);
    thread.done_.release();
    return nullptr;
}

Naps::Naps(std::chrono::nanoseconds shortest, std::chrono::nanoseconds longest)
    : shortest_ns_(shortest.count()),
      spread_ns_(static_cast<std::uint64_t>((longest - shortest).count()) + 1),
      random_(static_cast<std::uint64_t>(core::monotonic_now().time_since_epoch().count()) | 1) {
#ifdef __linux__
    prctl(PR_SET_TIMERSLACK, 1);  // else the kernel adds up to 50 us to each nap
#endif
}

bool Naps::take(std::binary_semaphore& alarm) {
    random_ ^= random_ << 13;  // xorshift
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return alarm.try_acquire_for(
        std::chrono::nanoseconds(shortest_ns_ + static_cast<std::int64_t>(random_ % spread_ns_)));
}

}  // namespace gilpool::bindings
