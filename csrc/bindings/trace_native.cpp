// bindings/trace_native.cpp: what those hooks write down.
#include "bindings/trace_native.hpp"

#include "bindings/task_type.hpp"
#include "bindings/trace_membership.hpp"
#include "bindings/trace_names.hpp"
#include "bindings/trace_observer.hpp"

namespace gilpool::bindings {

namespace {

core::TraceRecord record_for(TraceKind kind, std::int64_t begin, TraceTicket ticket) {
    core::TraceRecord record = trace_record(kind, begin);
    record.number = ticket.number;
    record.name = ticket.name;
    return record;
}

}  // namespace

namespace detail {

TraceTicket trace_native_spawned(TaskObject* task) {
    see_to_observer();
    const TraceTicket ticket{new_trace_number(task), trace_names().of(task)};
    write_trace(record_for(TraceKind::spawned, trace_now(), ticket));
    return ticket;
}

void trace_wait_begins(TaskObject* task, std::int64_t begin) {
    see_to_observer();
    const TraceTicket ticket{new_trace_number(task), trace_names().of(task)};
    write_trace(record_for(TraceKind::wait_begins, begin, ticket));
}

void trace_native_ends(const TaskObject* task, PyObject* exception) {
    if (!has_trace_number(task)) {
        return;  // it began before the trace did
    }
    core::TraceRecord record = trace_record(TraceKind::native_ends, trace_now());
    record.number = task->trace_number;
    record.detail = static_cast<std::uint8_t>(trace_outcome_of(exception));
    write_trace(record);
}

}  // namespace detail

std::int64_t TracedNativeWork::begin() const {
    const core::TraceRecord record = record_for(TraceKind::native_begins, trace_now(), ticket_);
    write_trace(record);
    return record.begin;
}

void TracedNativeWork::end() const {
    core::TraceRecord record = record_for(TraceKind::native, begin_, ticket_);
    record.end = trace_now();
    write_trace(record);
}

}  // namespace gilpool::bindings
