// bindings/trace_session.cpp: begin, observe, end, hand over.
#include "bindings/trace_session.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <new>
#include <vector>

#include "bindings/admission.hpp"
#include "bindings/compat.hpp"
#include "bindings/gil_waiters.hpp"
#include "bindings/gil_words.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_type.hpp"
#include "bindings/trace.hpp"
#include "bindings/trace_names.hpp"
#include "core/clock.hpp"
#include "core/parker.hpp"
#include "core/service_thread.hpp"

namespace gilpool::bindings {

namespace py = pybind11;

namespace {

using Thread = core::TraceLog::Thread;

constexpr std::chrono::milliseconds kLookEvery{1};
/// With thousands of threads a look takes longer; then there are fewer, so that they never take
/// more of a core than this.
constexpr int kMostPercent = 2;
/// Whether a thread waits for the GIL or for something else takes 10 us to find out; so many are
/// asked at a look, in turn ...
constexpr std::size_t kReadingsPerLook = 2;
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
    bool can_see_gil = false;
    bool can_see_waiters = false;
    std::vector<Thread*> doubtful;  ///< during a look; its room is made before
    std::size_t turn = 0;
    std::vector<std::int64_t> looks;
    Counters counters;
};

Observer* g_observer = nullptr;  // made once; a forked child makes another
TraceNames g_names;
std::uint32_t g_first_number = 1;
std::int64_t g_begin = 0;
std::atomic<std::uint64_t> g_lost{0};

std::int64_t nanoseconds(core::TimePoint when) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
}

core::TraceRecord record_of(TraceKind kind, std::int64_t begin) {
    core::TraceRecord record{};
    record.kind = static_cast<std::uint8_t>(kind);
    record.begin = begin;
    return record;
}

/// Writes down what was seen of the thread, if it is news.
void note_seen(Thread& thread, Seen seen, std::int64_t now, std::int64_t before) {
    if (static_cast<std::uint8_t>(seen) == thread.seen) {
        return;
    }
    thread.seen = static_cast<std::uint8_t>(seen);
    core::TraceRecord record = record_of(TraceKind::seen, now);
    record.end = before;
    record.thread = thread.index;
    record.detail = thread.seen;
    trace_log().note(record);
}

/// True if the thread, which is off the GIL, may be waiting for it without saying so.
bool is_doubtful(const Observer& observer, const Thread& thread, const PyThreadState* holder) {
    return observer.can_see_waiters && holder != nullptr && !thread.stamps_itself.load();
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
        const bool waits =
            asleep == Asleep::at_gil || (asleep == Asleep::no && thread->seen == kWaits);
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
    core::TraceRecord record = record_of(TraceKind::counters, now);
    record.number = counters.queued;
    record.name = counters.running;
    record.extra = counters.runners;
    trace_log().note(record);
}

void look(Observer& observer, core::TimePoint when) {
    const std::int64_t now = nanoseconds(when);
    const std::int64_t before = observer.looks.empty() ? now : observer.looks.back();
    const PyThreadState* const holder = observer.can_see_gil ? gil_holder() : nullptr;
    trace_log().collect(
        [&](Thread& thread) {
            if (observer.can_see_gil) {
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
}

void observe(void* context) {
    Observer& observer = *static_cast<Observer*>(context);
    core::TimePoint next = core::monotonic_now();
    while (!observer.ends.load()) {
        const core::TimePoint begin = core::monotonic_now();
        look(observer, begin);
        const core::Duration taken = core::monotonic_now() - begin;
        next = begin + std::max<core::Duration>(kLookEvery, taken * (100 / kMostPercent));
        observer.parker.park_until(next);
    }
}

bool start_observer() {
    g_observer->ends.store(false);
    return g_observer->thread.start("gilpool-trace", &observe, g_observer);
}

void stop_observer() {
    if (g_observer != nullptr && g_observer->thread.joinable()) {
        g_observer->ends.store(true);
        g_observer->parker.unpark();
        g_observer->thread.join();  // it needs no GIL, so it may be waited for with the GIL held
    }
}

std::uint32_t length(const TaskList& list) {
    std::uint32_t count = 0;
    for (const TaskObject* task = list.first; task != nullptr; task = task->next) {
        ++count;
    }
    return count;
}

void count_present_tasks() {
    std::uint32_t queued = 0;
    std::uint32_t running = 0;
    for (const PoolObject* pool = first_active_pool(); pool != nullptr; pool = pool->next_active) {
        queued += length(pool->queued);
        running += length(pool->running);
    }
    trace_counts().queued.store(queued);
    trace_counts().running.store(running);
}

void start(std::size_t most_records) {
    // First of all: this may let the GIL go, and another thread begin a trace.
    const bool can_see_waiters = gil_words_are_readable() && gil_waiters_are_visible();
    if (tracing()) {
        throw std::runtime_error("a trace is being recorded already; there can be one at a time");
    }
    if (g_observer == nullptr) {
        g_observer = new Observer;
    }
    g_first_number = next_trace_number();
    g_lost.store(0);
    Py_XDECREF(g_names.take());
    trace_log().begin(most_records);
    count_present_tasks();
    g_observer->looks.clear();
    g_observer->counters = Counters{};
    g_observer->can_see_gil = gil_words_are_readable();
    g_observer->can_see_waiters = can_see_waiters;
    g_observer->doubtful.reserve(kMostDoubtful);
    const core::TimePoint now = core::monotonic_now();
    g_begin = nanoseconds(now);
    look(*g_observer, now);  // how it begins
    detail::trace_is_on.store(true);
    if (!start_observer()) {
        detail::trace_is_on.store(false);
        throw std::runtime_error("cannot trace: no thread can be started");
    }
}

py::bytes bytes_of(const void* data, std::size_t size) {
    return {static_cast<const char*>(data), size};
}

py::dict stop() {
    if (!tracing()) {
        throw std::runtime_error("no trace is being recorded");
    }
    detail::trace_is_on.store(false);
    stop_observer();
    const core::TimePoint now = core::monotonic_now();
    const std::int64_t end = nanoseconds(now);
    look(*g_observer, now);  // how it ends
    trace_log().collect(
        [end](Thread& thread) {
            if (thread.open.begin != 0) {
                core::TraceRecord record = thread.open;
                record.end = end;
                record.cpu = -1;
                record.thread = thread.index;
                record.detail = static_cast<std::uint8_t>(TraceOutcome::unfinished);
                trace_log().note(record);
            }
        },
        [] {});
    core::TraceLog::Recording recording = trace_log().take();
    py::list chunks;
    for (std::vector<core::TraceRecord>& chunk : recording.chunks) {
        chunks.append(bytes_of(chunk.data(), chunk.size() * sizeof(core::TraceRecord)));
        chunk = {};
    }
    py::dict result;
    result["begin"] = g_begin;
    result["end"] = end;
    result["records"] = chunks;
    result["looks"] = bytes_of(g_observer->looks.data(),
                               g_observer->looks.size() * sizeof(g_observer->looks.front()));
    result["names"] = py::reinterpret_steal<py::list>(g_names.take());
    result["native_ids"] = recording.native_ids;
    result["dropped"] = recording.dropped + g_lost.load();
    result["gil_seen"] = g_observer->can_see_gil;
    result["waiters_seen"] = g_observer->can_see_waiters;
    g_observer->looks = {};
    return result;
}

}  // namespace

void see_to_observer() {
    if (!g_observer->thread.joinable()) {
        // Without it rings overflow and nothing is sampled; the program goes on, and the records
        // that are lost are counted.
        static_cast<void>(start_observer());
    }
}

std::uint32_t first_trace_number() {
    return g_first_number;
}

TraceNames& trace_names() {
    return g_names;
}

void note_lost_record() {
    g_lost.fetch_add(1, std::memory_order_relaxed);
}

void pause_observer() {
    stop_observer();
}

void forget_trace_session() {
    g_observer = nullptr;  // its thread does not exist here
}

void bind_trace(py::module_& module) {
    module.def("_trace_start", &start, py::arg("most_records"),
               "Begin to record a trace; RuntimeError if one is being recorded.");
    module.def("_trace_stop", &stop, "End the trace and return what was recorded, as a new dict.");
}

}  // namespace gilpool::bindings
