// bindings/trace_observer.cpp: empties the rings, and looks at threads and counters.
#include "bindings/trace_observer.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <new>
#include <utility>

#include "bindings/admission.hpp"
#include "bindings/compat.hpp"
#include "bindings/cpu_clock.hpp"
#include "bindings/gil_waiters.hpp"
#include "bindings/gil_words.hpp"
#include "bindings/trace_membership.hpp"
#include "bindings/trace_records.hpp"
#include "core/parker.hpp"
#include "core/service_thread.hpp"

namespace gilpool::bindings {

namespace {

using Thread = core::TraceLog::Thread;

constexpr std::chrono::milliseconds kLookEvery{1};
/// With thousands of threads a look takes longer; then there are fewer, so that they never take
/// more of a core than this. By the CPU clock: who waited for a core has to look soon, not late.
constexpr int kMostPercent = 2;
/// Unless a ring had more records than this, which must not overflow: then it is half of a core.
constexpr std::size_t kManyRecords = core::TraceRing::kRecords / 64;
/// Whether a thread waits for the GIL or for something else takes 10 us to find out; so many are
/// asked at a look, in turn ...
constexpr std::size_t kReadingsPerLook = 1;
/// ... of so many at most.
constexpr std::size_t kMostDoubtful = 64;

enum class Seen : std::uint8_t { in_no_task, holds_gil, off_gil, waits_for_gil };

struct Counters {
    std::uint32_t queued = 0;
    std::uint32_t running = 0;
    int runners = 0;

    bool operator==(const Counters&) const = default;
};

/// What the observer works with; it alone between start() and the join.
struct Observer {
    core::ServiceThread thread;
    core::Parker parker;
    std::atomic<bool> ends{false};
    TraceSight sight;
    std::vector<Thread*> doubtful;  ///< during a look; its room is made before
    std::size_t turn = 0;
    std::vector<std::int64_t> looks;
    Counters counters;
};

Observer* g_observer = nullptr;  // made once; a forked child makes another
/// Writes down what was seen of the thread, if it is news.
void note_seen(Thread& thread, Seen seen, std::int64_t now, std::int64_t before) {
    if (static_cast<std::uint8_t>(seen) == thread.seen) {
        return;
    }
    thread.seen = static_cast<std::uint8_t>(seen);
    core::TraceRecord record = trace_record(TraceKind::seen, now);
    record.end = before;
    record.thread = thread.index;
    record.detail = thread.seen;
    trace_log().note(record);
}

/// True if the thread, which is off the GIL, may be waiting for it without saying so.
bool is_doubtful(const Observer& observer, const Thread& thread, const PyThreadState* holder) {
    return observer.sight.waiters && holder != nullptr && !thread.stamps_itself.load();
}

void look_at_thread(Observer& observer, Thread& thread, const PyThreadState* holder,
                    std::int64_t now, std::int64_t before) {
    // Acquire pairs with the store at the task's begin. The thread state lives until its thread has
    // left the log, which it cannot do during this pass.
    auto* const state = static_cast<PyThreadState*>(thread.subject.load(std::memory_order_acquire));
    if (state == nullptr) {
        note_seen(thread, Seen::in_no_task, now, before);
    } else if (holds_gil(state)) {
        note_seen(thread, Seen::holds_gil, now, before);
    } else if (!is_doubtful(observer, thread, holder)) {
        note_seen(thread, Seen::off_gil, now, before);
    } else if (observer.doubtful.size() < observer.doubtful.capacity()) {
        observer.doubtful.push_back(&thread);
    }
}

/// Reads of some doubtful threads what they wait for: first of those that have just left the GIL,
/// then of the others in turn. Who is not read stays as it was: who waited waits, for it has not
/// been seen with the GIL.
void settle_doubts(Observer& observer, std::int64_t now, std::int64_t before) {
    constexpr auto kHolds = static_cast<std::uint8_t>(Seen::holds_gil);
    constexpr auto kWaits = static_cast<std::uint8_t>(Seen::waits_for_gil);
    std::vector<Thread*>& doubtful = observer.doubtful;
    const auto others = std::partition(doubtful.begin(), doubtful.end(),
                                       [](const Thread* thread) { return thread->seen == kHolds; });
    if (others != doubtful.end()) {
        const auto first = static_cast<std::ptrdiff_t>(
            observer.turn++ % static_cast<std::size_t>(doubtful.end() - others));
        std::rotate(others, others + first, doubtful.end());
    }
    std::size_t readings = 0;
    for (Thread* const thread : doubtful) {
        // Who waits for the GIL wakes up every switch interval, and may have to wait for a core.
        Asleep asleep = Asleep::no;
        if (readings++ < kReadingsPerLook) {
            asleep = look_where_asleep(thread->native_id);
        }
        const bool waits = is_for_gil(asleep) || (asleep == Asleep::no && thread->seen == kWaits);
        note_seen(*thread, waits ? Seen::waits_for_gil : Seen::off_gil, now, before);
    }
    doubtful.clear();
}

void look_at_counters(Observer& observer, std::int64_t now) {
    const Counters counters{trace_counts().queued.load(std::memory_order_relaxed),
                            trace_counts().running.load(std::memory_order_relaxed),
                            active_runners()};
    if (counters == observer.counters && !observer.looks.empty()) {
        return;
    }
    observer.counters = counters;
    core::TraceRecord record = trace_record(TraceKind::counters, now);
    record.number = counters.queued;
    record.name = counters.running;
    record.extra = counters.runners;
    trace_log().note(record);
}

/// Returns how many records the fullest ring had.
std::size_t look(Observer& observer, core::TimePoint when) {
    const std::int64_t now = trace_time(when);
    const std::int64_t before = observer.looks.empty() ? now : observer.looks.back();
    const PyThreadState* const holder = observer.sight.gil ? gil_holder() : nullptr;
    const std::size_t records = trace_log().collect(
        [&](Thread& thread) {
            if (observer.sight.gil) {
                look_at_thread(observer, thread, holder, now, before);
            }
        },
        [&] {
            settle_doubts(observer, now, before);
            look_at_counters(observer, now);
        });
    try {
        observer.looks.push_back(now);
    } catch (const std::bad_alloc&) {
        note_lost_record();
    }
    return records;
}

void observe(void* context) {
    Observer& observer = *static_cast<Observer*>(context);
    std::int64_t cpu = thread_cpu_ns();
    while (!observer.ends.load()) {
        const core::TimePoint begin = core::monotonic_now();
        const std::size_t records = look(observer, begin);
        const std::int64_t cpu_before = std::exchange(cpu, thread_cpu_ns());
        const std::chrono::nanoseconds used(cpu - cpu_before);
        const auto rest = used * (records > kManyRecords ? 2 : 100 / kMostPercent);
        observer.parker.park_until(begin + std::max<core::Duration>(kLookEvery, rest));
    }
}

bool run_observer() {
    g_observer->ends.store(false);
    return g_observer->thread.start("gilpool-trace", &observe, g_observer);
}

}  // namespace

bool start_observer(core::TimePoint begin, TraceSight sight) {
    if (g_observer == nullptr) {
        g_observer = new Observer;
    }
    Observer& observer = *g_observer;
    observer.looks.clear();
    observer.counters = Counters{};
    observer.sight = sight;
    observer.doubtful.reserve(kMostDoubtful);
    look(observer, begin);  // how it begins
    return run_observer();
}

std::vector<std::int64_t> look_for_the_last_time(core::TimePoint end) {
    look(*g_observer, end);
    return std::move(g_observer->looks);
}

void see_to_observer() {
    if (!g_observer->thread.joinable()) {
        // Without it rings overflow and nothing is sampled; the program goes on, and the records
        // that are lost are counted.
        static_cast<void>(run_observer());
    }
}

void pause_observer() {
    if (g_observer != nullptr && g_observer->thread.joinable()) {
        g_observer->ends.store(true);
        g_observer->parker.unpark();
        g_observer->thread.join();  // it needs no GIL, so it may be waited for with the GIL held
    }
}

void forget_observer() {
    g_observer = nullptr;  // its thread does not exist here
}

}  // namespace gilpool::bindings
