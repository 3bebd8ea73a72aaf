// bindings/trace.cpp: what the hooks write down.
#include "bindings/trace.hpp"

#include <algorithm>
#include <chrono>
#include <new>

#include "bindings/compat.hpp"
#include "bindings/cpu_clock.hpp"
#include "bindings/errors.hpp"
#include "bindings/task_type.hpp"
#include "bindings/trace_names.hpp"
#include "bindings/trace_session.hpp"
#include "core/native_thread.hpp"

namespace gilpool::bindings {

namespace {

using Thread = core::TraceLog::Thread;

/// The CPU clock costs 0.4 us, so a reading serves again for tasks that begin soon after it; the
/// time since then counts as computed. With this there are fewer readings than take 1 % of the
/// time.
constexpr std::int64_t kClockServesFor = 50'000;
/// A call shorter than this is not worth a reading: its CPU time stays unknown.
constexpr std::int64_t kWorthReading = 50'000;

/// The calling thread's part in the trace, for as long as the thread lives.
struct Membership {
    Thread* thread = nullptr;
    ~Membership() { leave(); }

    void leave() {
        if (thread != nullptr) {
            trace_log().leave(thread);
            thread = nullptr;
        }
    }
};

constinit thread_local Membership t_membership;
core::TraceLog* g_log = nullptr;  // never destroyed: threads may outlive main()
TraceCounts g_counts;
std::uint32_t g_numbers = 0;  // GIL

std::int64_t nanoseconds(core::TimePoint when) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
}

std::int64_t now() {
    return nanoseconds(core::monotonic_now());
}

/// Null if there is no memory for it.
Thread* own_thread() {
    if (t_membership.thread == nullptr) {
        try {
            t_membership.thread = trace_log().enter(static_cast<int>(core::kernel_id()));
        } catch (const std::bad_alloc&) {
            note_lost_record();
        }
    }
    return t_membership.thread;
}

core::TraceRecord record_of(TraceKind kind) {
    core::TraceRecord record{};
    record.kind = static_cast<std::uint8_t>(kind);
    return record;
}

void write(const core::TraceRecord& record) {
    if (Thread* const me = own_thread()) {
        me->ring.write(record);
    }
}

/// Under the GIL, which is why it need not be one instruction.
void add(std::atomic<std::uint32_t>& count, std::uint32_t change) {
    count.store(count.load(std::memory_order_relaxed) + change, std::memory_order_relaxed);
}
constexpr std::uint32_t kOneLess = ~std::uint32_t{0};

/// The task's number, given to it now if it has none in this trace.
std::uint32_t number_of(TaskObject* task) {
    if (task->trace_number < first_trace_number()) {
        task->trace_number = ++g_numbers;
    }
    return task->trace_number;
}

TraceOutcome outcome_of(PyObject* exception) {
    if (exception == nullptr) {
        return TraceOutcome::returned;
    }
    return PyErr_GivenExceptionMatches(exception, error_types.task_exit) != 0
               ? TraceOutcome::killed
               : TraceOutcome::raised;
}

/// Notes that the CPU clock stands at `record.cpu` at the begin of the task.
void begin_cpu_time(Thread& me, core::TraceRecord& record) {
    if (record.extra != 0 && me.cpu_at >= record.extra) {
        me.cpu_at = record.begin;  // read before a wait for the GIL, in which it stood
    } else if (me.cpu_at == 0 || record.begin - me.cpu_at > kClockServesFor) {
        me.cpu = thread_cpu_ns();
        me.cpu_at = record.begin;
    }
    record.cpu = me.cpu + (record.begin - me.cpu_at);
}

/// Turns that into the CPU time of the call, or -1.
void end_cpu_time(Thread& me, core::TraceRecord& record) {
    const std::int64_t wall = record.end - record.begin;
    if (wall < kWorthReading) {
        record.cpu = -1;
        return;
    }
    me.cpu = thread_cpu_ns();
    me.cpu_at = record.end;
    record.cpu = std::clamp<std::int64_t>(me.cpu - record.cpu, 0, wall);
}

}  // namespace

namespace detail {

void trace_spawned(TaskObject* task) {
    see_to_observer();
    task->trace_number = 0;
    core::TraceRecord record = record_of(TraceKind::spawned);
    record.number = number_of(task);
    record.begin = now();
    add(g_counts.queued, 1);
    write(record);
}

TraceTicket trace_native_spawned(TaskObject* task) {
    see_to_observer();
    task->trace_number = 0;
    core::TraceRecord record = record_of(TraceKind::spawned);
    record.number = number_of(task);
    record.begin = now();
    write(record);
    return {record.number, trace_names().of(task)};
}

void trace_unqueued(const TaskObject* task) {
    core::TraceRecord record = record_of(TraceKind::cancelled);
    record.number = task->trace_number;
    record.begin = now();
    add(g_counts.queued, kOneLess);
    write(record);
}

void trace_task_begins(TaskObject* task) {
    const std::uint32_t name = trace_names().of(task);
    see_to_observer();
    add(g_counts.queued, kOneLess);
    add(g_counts.running, 1);
    Thread* const me = own_thread();
    if (me == nullptr) {
        return;
    }
    core::TraceRecord& open = me->open;
    open = record_of(TraceKind::task);
    open.number = number_of(task);
    open.name = name;
    open.extra = me->asked;
    me->asked = 0;
    open.begin = now();
    begin_cpu_time(*me, open);
    // Release: the observer reads the thread state.
    me->subject.store(PyThreadState_Get(), std::memory_order_release);
}

void trace_task_ends(TaskObject* task, PyObject* exception) {
    add(g_counts.running, kOneLess);
    Thread* const me = own_thread();
    if (me == nullptr) {
        return;
    }
    me->subject.store(nullptr, std::memory_order_relaxed);
    core::TraceRecord record = me->open;
    record.end = now();
    if (record.begin != 0) {
        end_cpu_time(*me, record);
    } else {  // it began before the trace did
        record = record_of(TraceKind::task);
        record.end = now();
        record.cpu = -1;
        record.number = number_of(task);
        record.name = trace_names().of(task);
    }
    me->open.begin = 0;
    record.detail = static_cast<std::uint8_t>(outcome_of(exception));
    me->ring.write(record);
}

void trace_asks() {
    if (Thread* const me = own_thread()) {
        me->cpu = thread_cpu_ns();
        me->cpu_at = now();
    }
}

void trace_came_in(core::TimePoint asked, bool takes_over) {
    if (takes_over) {
        if (Thread* const me = own_thread()) {
            me->asked = nanoseconds(asked);
        }
        return;
    }
    core::TraceRecord record = record_of(TraceKind::handed_back);
    record.begin = nanoseconds(asked);
    record.end = now();
    write(record);
}

void trace_instant(TraceInstant what) {
    core::TraceRecord record = record_of(TraceKind::instant);
    record.begin = now();
    record.detail = static_cast<std::uint8_t>(what);
    write(record);
}

std::int64_t trace_let_go() {
    // The subject, not the open record: that belongs to who holds the GIL.
    Thread* const me = t_membership.thread;
    if (me == nullptr || me->subject.load(std::memory_order_relaxed) == nullptr) {
        return 0;
    }
    me->stamps_itself.store(true, std::memory_order_relaxed);
    return now();
}

void trace_take_back(PyThreadState* state, std::int64_t since) {
    core::TraceRecord record = record_of(TraceKind::own_release);
    record.extra = since;
    record.begin = now();
    PyEval_RestoreThread(state);
    record.end = now();
    if (Thread* const me = t_membership.thread) {
        me->stamps_itself.store(false, std::memory_order_relaxed);
    }
    write(record);
}

}  // namespace detail

std::int64_t TracedNativeWork::begin() {
    return now();
}

void TracedNativeWork::end() const {
    core::TraceRecord record = record_of(TraceKind::native);
    record.begin = begin_;
    record.end = now();
    record.cpu = -1;
    record.number = ticket_.number;
    record.name = ticket_.name;
    record.detail = static_cast<std::uint8_t>(TraceOutcome::returned);
    write(record);
}

void leave_trace() {
    trace_instant(TraceInstant::worker_retired);
    t_membership.leave();
}

core::TraceLog& trace_log() {
    if (g_log == nullptr) {
        g_log = new core::TraceLog;
    }
    return *g_log;
}

TraceCounts& trace_counts() {
    return g_counts;
}

std::uint32_t next_trace_number() {
    return g_numbers + 1;
}

void forget_trace() {
    detail::trace_is_on.store(false);
    forget_trace_session();
    // Other threads may have been writing or collecting: what was is left as it is.
    g_log = nullptr;
    t_membership.thread = nullptr;
}

}  // namespace gilpool::bindings
