// bindings/trace.cpp: what the hooks write down.
#include "bindings/trace.hpp"

#include <algorithm>

#include "bindings/compat.hpp"
#include "bindings/cpu_clock.hpp"
#include "bindings/errors.hpp"
#include "bindings/task_type.hpp"
#include "bindings/trace_membership.hpp"
#include "bindings/trace_names.hpp"
#include "bindings/trace_observer.hpp"

namespace gilpool::bindings {

namespace {

using Thread = core::TraceLog::Thread;

/// The CPU clock costs 0.4 us, so a reading serves again for tasks that begin soon after it. With
/// this there are fewer readings than take 1 % of the time.
constexpr std::int64_t kClockServesFor = 50'000;
/// What the thread did between the reading and the begin is not known. It counts as computed, if it
/// is no more than one part in so many of the task; else the task's CPU time stays unknown ...
constexpr std::int64_t kMostDoubt = 10;
/// ... as it does for a call shorter than this, which is not worth a reading.
constexpr std::int64_t kWorthReading = 50'000;

/// Notes what the CPU clock stands at when the task begins, as far as that is known.
void begin_cpu_time(Thread& me, core::TraceRecord& record) {
    if (record.extra != 0 && me.cpu_at >= record.extra) {
        me.cpu_at = record.begin;  // read before a wait for the GIL, in which it stood
    } else if (me.cpu_at == 0 || record.begin - me.cpu_at > kClockServesFor) {
        me.cpu = thread_cpu_ns();
        me.cpu_at = record.begin;
    }
    me.cpu_doubt = record.begin - me.cpu_at;
    record.cpu = me.cpu + me.cpu_doubt;
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
    record.cpu = me.cpu_doubt * kMostDoubt <= wall
                     ? std::clamp<std::int64_t>(me.cpu - record.cpu, 0, wall)
                     : -1;
}

}  // namespace

namespace detail {

void trace_spawned(TaskObject* task) {
    see_to_observer();
    TraceCounts::add_one(trace_counts().queued);
    core::TraceRecord record = trace_record(TraceKind::spawned, trace_now());
    record.number = new_trace_number(task);
    write_trace(record);
}

void trace_unqueued(const TaskObject* task) {
    TraceCounts::take_one(trace_counts().queued);
    core::TraceRecord record = trace_record(TraceKind::cancelled, trace_now());
    record.number = task->trace_number;
    write_trace(record);
}

void trace_task_begins(TaskObject* task) {
    const std::uint32_t name = trace_names().of(task);
    see_to_observer();
    TraceCounts::take_one(trace_counts().queued);
    TraceCounts::add_one(trace_counts().running);
    Thread* const me = enter_trace();
    if (me == nullptr) {
        return;
    }
    core::TraceRecord& open = me->open;
    open = trace_record(TraceKind::task, trace_now());
    open.number = trace_number_of(task);
    open.name = name;
    open.extra = me->asked;
    me->asked = 0;
    begin_cpu_time(*me, open);
    // Release: the observer reads the thread state.
    me->subject.store(PyThreadState_Get(), std::memory_order_release);
}

void trace_task_ends(TaskObject* task, PyObject* exception) {
    TraceCounts::take_one(trace_counts().running);
    Thread* const me = enter_trace();
    if (me == nullptr) {
        return;
    }
    me->subject.store(nullptr, std::memory_order_relaxed);
    core::TraceRecord record = me->open;
    record.end = trace_now();
    if (record.begin != 0) {
        end_cpu_time(*me, record);
    } else {  // it began before the trace did
        record.kind = static_cast<std::uint8_t>(TraceKind::task);
        record.cpu = -1;
        record.number = trace_number_of(task);
        record.name = trace_names().of(task);
    }
    me->open.begin = 0;
    record.detail = static_cast<std::uint8_t>(trace_outcome_of(exception));
    me->ring.write(record);
}

void trace_asks() {
    if (Thread* const me = enter_trace()) {
        me->cpu = thread_cpu_ns();
        me->cpu_at = trace_now();
    }
}

void trace_came_in(core::TimePoint asked, bool takes_over) {
    if (takes_over) {
        if (Thread* const me = enter_trace()) {
            me->asked = trace_time(asked);
        }
        return;
    }
    core::TraceRecord record = trace_record(TraceKind::handed_back, trace_time(asked));
    record.end = trace_now();
    write_trace(record);
}

void trace_instant(TraceInstant what) {
    core::TraceRecord record = trace_record(TraceKind::instant, trace_now());
    record.detail = static_cast<std::uint8_t>(what);
    write_trace(record);
}

std::int64_t trace_let_go() {
    // The subject, not the open record: that belongs to who holds the GIL.
    Thread* const me = trace_member();
    if (me == nullptr || me->subject.load(std::memory_order_relaxed) == nullptr) {
        return 0;
    }
    me->stamps_itself.store(true, std::memory_order_relaxed);
    return trace_now();
}

void trace_take_back(PyThreadState* state, std::int64_t since) {
    core::TraceRecord record = trace_record(TraceKind::own_release, trace_now());
    record.extra = since;
    PyEval_RestoreThread(state);
    record.end = trace_now();
    if (Thread* const me = trace_member()) {
        me->stamps_itself.store(false, std::memory_order_relaxed);
    }
    write_trace(record);
}

}  // namespace detail

void leave_trace() {
    trace_instant(TraceInstant::worker_retired);
    leave_trace_log();
}

TraceOutcome trace_outcome_of(PyObject* exception) {
    if (exception == nullptr) {
        return TraceOutcome::returned;
    }
    return PyErr_GivenExceptionMatches(exception, error_types.task_exit) != 0
               ? TraceOutcome::killed
               : TraceOutcome::raised;
}

void forget_trace() {
    detail::trace_is_on.store(false);
    forget_observer();
    forget_trace_log();
}

}  // namespace gilpool::bindings
