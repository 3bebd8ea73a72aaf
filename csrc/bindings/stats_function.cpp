// bindings/stats_function.cpp: collects the counters of pools and threads. GIL held.
#include "bindings/stats_function.hpp"

#include <algorithm>

#include "bindings/admission.hpp"
#include "bindings/courtesy.hpp"
#include "bindings/crew.hpp"
#include "bindings/gil_words.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/task_type.hpp"
#include "bindings/visitors.hpp"
#include "core/pool.hpp"

namespace gilpool::bindings {

namespace py = pybind11;

namespace {

py::dict stats() {
    Py_ssize_t tasks = 0;
    Py_ssize_t pools = 0;
    for (const PoolObject* pool = first_active_pool(); pool != nullptr; pool = pool->next_active) {
        tasks += pool->tracked;
        ++pools;
    }
    core::PoolStats threads = core::Pool::process().stats();
    add_crews_to(threads);
    py::dict result;
    result["tasks"] = tasks;
    result["task_objects"] = live_tasks;
    result["active_pools"] = pools;
    result["threads"] = threads.threads;
    result["idle_threads"] = threads.idle;
    result["threads_started"] = threads.grown;
    result["threads_ended"] = threads.retired;
    result["thread_cap"] = threads.blocking_cap;
    const int serving = serving_runners();
    const int active = std::min(active_runners(), serving);
    result["runners"] = active;
    result["blocked"] = serving - active;
    result["second_runners"] = admission_counters().admitted;
    return result;
}

py::dict scheduling() {
    const AdmissionCounters& spares = admission_counters();
    const CourtesyCounters& courtesies = courtesy_counters();
    py::dict result;
    result["blocking_estimate"] = blocking_estimate();
    result["quick"] = spares.quick;
    result["polled"] = spares.polled;
    result["doubted"] = spares.doubted;
    result["beside_other"] = spares.beside_other;
    result["late"] = spares.late;
    result["forced"] = spares.forced;
    result["gifts"] = spares.gifts;
    result["admitted"] = spares.admitted;
    result["throttled"] = spares.throttled;
    result["continued"] = spares.continued;
    result["parked"] = spares.parked;
    result["courtesies_offered"] = courtesies.offered;
    result["courtesies_taken"] = courtesies.taken;
    result["pleas_for_visitors"] = pleas_for_visitors();
    result["lookouts"] = courtesies.lookouts;
    return result;
}

bool g_collecting = false;

}  // namespace

bool collecting_stats() {
    return g_collecting;
}

void bind_stats(py::module_& module) {
    module.def(
        "stats", &stats,
        "Counters of the whole process, as a new dict.\n\n"
        "tasks: queued and running; task_objects: handles that exist; active_pools: pools that "
        "have any; threads: native workers\n"
        "alive, of which idle_threads are parked; threads_started and threads_ended: since the\n"
        "process began; thread_cap: most workers the process's limits allow. runners: workers\n"
        "that hold the GIL or wait for it, blocked: those whose task is off it (or waits for it\n"
        "behind a runner); second_runners: how often one more runner was let in beside a task "
        "that\n"
        "kept the GIL for long.\n\n"
        "GIL: held. Thread safety: any thread.");
    module.def("_distrust_gil_words", &distrust_gil_words,
               "Schedule as where the interpreter's words about the GIL cannot be read.");
    module.def("_scheduling", &scheduling,
               "Counters of how spares came in and runners went on, as a new dict.");
    module.def(
        "collect_stats", [](bool enabled) { g_collecting = enabled; }, py::arg("enabled") = true,
        "Turn the measuring of tasks on or off, for tasks spawned from now on: Task.stats.\n\n"
        "Costs three readings of a clock a task while on, nothing while off.\n\n"
        "GIL: held. Thread safety: any thread.");
}

}  // namespace gilpool::bindings
