// bindings/runner.hpp: what the scheduler knows about a worker that serves Python tasks.
//
// Each worker has one Runner for life. The spare looks at the Runners of others without the GIL, so
// the memory is recycled but never freed, and what it reads is atomic.
#pragma once

#include <Python.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "core/clock.hpp"

namespace gilpool::bindings {

/// The time between two tasks of one worker. Reading the clock takes 25 ns, as long as the rest of
/// an empty task; so while tasks take less than 1 us each, three of four boundaries pass unread,
/// and 15 of 16 if they take less than 0.25 us. Tasks that turn out long after that are noticed as
/// many boundaries late, once.
class BoundaryClock {
  public:
    /// True if this boundary's time is to be read; to be asked once at each.
    bool is_due() { return unread_ >= may_pass_ || (++unread_, false); }

    /// How many boundaries may pass from now on without asking is_due(); and that they have.
    int may_pass() const { return std::max(may_pass_ - unread_, 0); }
    void pass(int boundaries) { unread_ += boundaries; }

    core::TimePoint read() {
        const core::TimePoint now = core::monotonic_now();
        const auto each = (now - last_) / (unread_ + 1);
        may_pass_ = each < kTiny ? kUnreadIfTiny : each < kShort ? kUnread : 0;
        unread_ = 0;
        last_ = now;
        return now;
    }

  private:
    static constexpr std::chrono::nanoseconds kTiny{250};
    static constexpr std::chrono::nanoseconds kShort{1'000};
    static constexpr int kUnread = 3;
    static constexpr int kUnreadIfTiny = 15;

    core::TimePoint last_;
    int unread_ = 0;    ///< boundaries since the last reading
    int may_pass_ = 0;  ///< as many may pass
};

struct Runner {
    std::atomic<PyThreadState*> state{nullptr};  ///< of the worker; written under the GIL
    std::atomic<clockid_t> cpu_clock{};          ///< of the thread, like the next
    std::atomic<int> native_id{0};
    /// Number of the task it runs, 0 between tasks. Written by the worker under the GIL.
    std::atomic<std::uint64_t> task{0};
    /// The worker counts as active while this is the current term (see admission.cpp). Written
    /// under the GIL.
    std::atomic<std::uint64_t> term{0};
    BoundaryClock clock;  ///< the worker's own
    int slot = -1;        ///< where computing.cpp has it listed; GIL

    /// What computing.cpp saw last; written by the spare only, of which there is one.
    std::uint64_t sampled_task = 0;
    core::TimePoint sampled_at;
    std::int64_t sampled_cpu_ns = 0;
    std::atomic<bool> was_computing{false};

    Runner* next_free = nullptr;
};

/// The calling worker's Runner, made when it is asked for the first time. GIL held.
Runner* own_runner();

/// Notes by what names the kernel knows the calling thread, whose Runner this is: in a forked child
/// they are others.
void name_thread_of(Runner* runner);

/// The calling worker ends. GIL held.
void give_back_runner();

/// True on a thread that has a Runner. No GIL needed.
bool is_runner_thread();

}  // namespace gilpool::bindings
