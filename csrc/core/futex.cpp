// The Linux futex calls, and a table of mutexes and condition variables where there is no futex.
// Any thread; signal masks and errno of the caller are left alone.
#include "core/futex.hpp"

#include <cerrno>

#include "core/fork.hpp"

#if defined(__linux__) && !defined(GILPOOL_NO_FUTEX)
#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <array>
#include <condition_variable>
#include <mutex>
#endif

namespace gilpool::core {

#if defined(__linux__) && !defined(GILPOOL_NO_FUTEX)

namespace {

// As in <linux/prctl.h> since 6.17.
constexpr int kFutexHash = 78;
constexpr unsigned long kSetSlots = 1;
constexpr unsigned long kGetSlots = 2;
/// 64 kB of the kernel's memory; ten thousand sleepers are ten to a slot.
constexpr unsigned long kSlots = 1024;
/// Up to here a table that the kernel has chosen does, which only a slow call would exchange.
constexpr std::size_t kManySleepers = 256;

/// The deadline as the kernel wants it. "Never" is a far time rather than no time: a wait without
/// a time-out is restarted by the kernel after a SA_RESTART handler, one with a time-out returns.
timespec to_timespec(TimePoint deadline) noexcept {
    using namespace std::chrono;
    const auto since_boot = deadline.time_since_epoch();
    if (since_boot <= nanoseconds::zero()) {
        return {0, 0};
    }
    const auto whole = duration_cast<seconds>(since_boot);
    return {static_cast<time_t>(whole.count()),
            static_cast<long>(duration_cast<nanoseconds>(since_boot - whole).count())};
}

}  // namespace

FutexResult futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       TimePoint deadline) noexcept {
    const int saved_errno = errno;
    const timespec until = to_timespec(deadline);
    const long rc = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                            &until, nullptr, FUTEX_BITSET_MATCH_ANY);
    const int error = rc == 0 ? 0 : errno;
    errno = saved_errno;
    switch (error) {
        case ETIMEDOUT:
            return FutexResult::timed_out;
        case EINTR:
            return FutexResult::interrupted;
        default:
            return FutexResult::woken;
    }
}

void futex_wake(const std::atomic<std::uint32_t>* word, int count) noexcept {
    const int saved_errno = errno;
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, nullptr, nullptr, 0);
    errno = saved_errno;
}

void futex_expect_sleepers(std::size_t threads) noexcept {
    // Who comes first does it for its process; a child of a fork has no table yet.
    constexpr std::uint32_t kNobody = ~0U;
    static std::atomic<std::uint32_t> done_in{kNobody};
    std::uint32_t last = done_in.load(std::memory_order_relaxed);
    if (last == fork_generation()) {
        return;
    }
    const int saved_errno = errno;
    const int slots = prctl(kFutexHash, kGetSlots, 0UL, 0UL, 0UL);
    if ((slots <= 0 || threads >= kManySleepers) &&
        done_in.compare_exchange_strong(last, fork_generation(), std::memory_order_relaxed) &&
        slots >= 0 && static_cast<unsigned long>(slots) < kSlots) {
        prctl(kFutexHash, kSetSlots, kSlots, 0UL, 0UL);
    }
    errno = saved_errno;
}

#else

void futex_expect_sleepers(std::size_t) noexcept {}

namespace {

/// Threads whose words hash alike share one of these; each re-reads its own word when woken.
struct Bucket {
    std::mutex mutex;
    std::condition_variable changed;
};

Bucket& bucket_of(const void* address) noexcept {
    static auto* const buckets = new std::array<Bucket, 256>;
    const auto bits = reinterpret_cast<std::uintptr_t>(address);
    return (*buckets)[(bits >> 2 ^ bits >> 10) % buckets->size()];
}

}  // namespace

FutexResult futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                       TimePoint deadline) noexcept {
    Bucket& bucket = bucket_of(&word);
    std::unique_lock lock(bucket.mutex);
    // Compared under the bucket's mutex: a waker changes the word first and then takes the mutex,
    // so either the change is seen here or the notification comes after the sleep began.
    if (word.load(std::memory_order_seq_cst) != expected) {
        return FutexResult::woken;
    }
    // Bounded naps, because some libraries overflow when they convert a far deadline.
    const TimePoint nap = std::chrono::steady_clock::now() + std::chrono::hours(1);
    if (deadline < nap) {
        return bucket.changed.wait_until(lock, deadline) == std::cv_status::timeout
                   ? FutexResult::timed_out
                   : FutexResult::woken;
    }
    bucket.changed.wait_until(lock, nap);
    return FutexResult::woken;
}

void futex_wake(const std::atomic<std::uint32_t>* word, int) noexcept {
    Bucket& bucket = bucket_of(word);
    // All of the bucket: a single wake could go to a thread that waits for another word.
    std::lock_guard lock(bucket.mutex);
    bucket.changed.notify_all();
}

#endif

}  // namespace gilpool::core
