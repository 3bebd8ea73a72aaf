// bindings/trace_session.cpp: begin, end, hand over. GIL held.
#include "bindings/trace_session.hpp"

#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "bindings/bulk.hpp"
#include "bindings/gil_waiters.hpp"
#include "bindings/gil_words.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_type.hpp"
#include "bindings/trace.hpp"
#include "bindings/trace_membership.hpp"
#include "bindings/trace_names.hpp"
#include "bindings/trace_observer.hpp"
#include "core/clock.hpp"

namespace gilpool::bindings {

namespace py = pybind11;

namespace {

core::TimePoint g_begin;
TraceSight g_sight;

/// How many tasks of the list are for Python: native work is not counted when it ends either.
std::uint32_t python_tasks(const TaskList& list) {
    std::uint32_t count = 0;
    for (const TaskObject* task = list.first; task != nullptr; task = task->next) {
        count += task->native == nullptr ? 1 : 0;
    }
    return count;
}

void count_present_tasks() {
    std::uint32_t queued = 0;
    std::uint32_t running = 0;
    for (const PoolObject* pool = first_active_pool(); pool != nullptr; pool = pool->next_active) {
        queued += static_cast<std::uint32_t>(count_queued(pool));
        running += python_tasks(pool->running);
    }
    trace_counts().queued.store(queued);
    trace_counts().running.store(running);
}

void start(std::size_t most_records) {
    if (tracing()) {
        throw std::runtime_error("a trace is being recorded already; there can be one at a time");
    }
    g_sight = {.gil = gil_words_are_readable(), .waiters = gil_waiters_are_visible()};
    restart_trace_numbers();
    take_lost_records();
    Py_XDECREF(trace_names().take());
    trace_log().begin(most_records);
    count_present_tasks();
    g_begin = core::monotonic_now();
    detail::trace_is_on.store(true);
    if (!start_observer(g_begin, g_sight)) {
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
    pause_observer();
    const core::TimePoint now = core::monotonic_now();
    const std::int64_t end = trace_time(now);
    const std::vector<std::int64_t> looks = look_for_the_last_time(now);
    trace_log().collect(
        [end](core::TraceLog::Thread& thread) {
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
    result["begin"] = trace_time(g_begin);
    result["end"] = end;
    result["records"] = chunks;
    result["looks"] = bytes_of(looks.data(), looks.size() * sizeof(looks.front()));
    result["names"] = py::reinterpret_steal<py::list>(trace_names().take());
    result["native_ids"] = recording.native_ids;
    result["dropped"] = recording.dropped + take_lost_records();
    result["gil_seen"] = g_sight.gil;
    result["waiters_seen"] = g_sight.waiters;
    return result;
}

}  // namespace

void bind_trace(py::module_& module) {
    module.def("_trace_start", &start, py::arg("most_records"),
               "Begin to record a trace; RuntimeError if one is being recorded.");
    module.def("_trace_stop", &stop, "End the trace and return what was recorded, as a new dict.");
}

}  // namespace gilpool::bindings
