// bindings/task_run.cpp: the call, its context, its outcome.
#include "bindings/task_run.hpp"

#include <utility>

#include "bindings/admission.hpp"
#include "bindings/bulk.hpp"
#include "bindings/compat.hpp"
#include "bindings/cpu_clock.hpp"
#include "bindings/errors.hpp"
#include "bindings/native_work.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/scheduler.hpp"
#include "bindings/silent_drop.hpp"
#include "bindings/task_kill.hpp"
#include "bindings/task_links.hpp"
#include "bindings/task_type.hpp"
#include "bindings/trace.hpp"
#include "bindings/trace_native.hpp"
#include "bindings/wakeups.hpp"
#include "bindings/worker_threads.hpp"

namespace gilpool::bindings {

namespace {

/// To find a thread's own costs a call, so it is done once a task.
struct Own {
    TaskObject* current_task;
    PyObject* blank_context;  ///< owned
};
constinit thread_local Own t_own{};

std::int64_t ns_between(core::TimePoint from, core::TimePoint to) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count();
}

/// A task is in no reference cycle while queue or worker hold it, so the collector need not know it
/// until it has a result that can be part of one: 100,000 tasks that return numbers cost it
/// nothing.
void show_to_collector(TaskObject* task) {
    if (PyObject_GC_IsTracked(as_object(task)) == 0 &&
        ((task->value != nullptr && PyObject_IS_GC(task->value)) || task->exception != nullptr)) {
        PyObject_GC_Track(as_object(task));
    }
}

/// True if let_go() runs no code of anybody's.
bool ends_silently(const TaskObject* task, const PoolObject* pool) {
    if (task->links != nullptr || task->context != nullptr || Py_REFCNT(pool) == 1) {
        return false;
    }
    for (std::int32_t i = 0; i < task->positional + task->keywords; ++i) {
        if (!goes_silently(task->arguments[i])) {
            return false;
        }
    }
    const bool is_kept = Py_REFCNT(task) > 1;
    return goes_silently(task->function) &&
           (is_kept || (Py_TYPE(task) == task_type && task->weakrefs == nullptr &&
                        task->exception == nullptr && goes_silently(task->value)));
}

/// Gives up everything but the result, and calls the links. Takes the references.
void let_go(TaskObject* task, PoolObject* pool) {
    drop_call(task);
    if (task->links != nullptr) {
        run_links(task, pool->daemon);
    }
    Py_DECREF(as_object(pool));
    Py_DECREF(as_object(task));
}

/// The same where that may run code of anybody's. Apart, for most tasks end silently.
[[gnu::noinline]] void let_go_loudly(TaskObject* task, PoolObject* pool) {
    const PromptWakeups prompt;
    let_go(task, pool);
}

/// Stores how the task ended, wakes who waits for it and gives up everything but the result.
/// Takes the reference to the task, and those to value or exception.
void finish_task(TaskObject* task, PyObject* value, PyObject* exception) {
    task->value = value;
    task->exception = exception;
    task->state = TaskState::done;
    PoolObject* const pool = task->pool;
    task->pool = nullptr;
    show_to_collector(task);
    task_left_pool(pool);
    if (!task->waiters.empty()) {  // who waits got in line with the GIL held
        task->waiters.notify_all();
    }
    if (task->bulk != nullptr) {
        end_known_item(task);
    }
    if (ends_silently(task, pool)) [[likely]] {
        let_go(task, pool);
    } else {
        let_go_loudly(task, pool);
    }
}

/// A TaskExit is how a task is asked to end, so it counts as success with the exception as value.
void finish_task_with_exception(TaskObject* task, PyObject* exception) {
    if (PyErr_GivenExceptionMatches(exception, error_types.task_exit) != 0) {
        finish_task(task, exception, nullptr);
    } else {
        finish_task(task, nullptr, exception);
    }
}

PyObject* call(TaskObject* task) {
    return PyObject_Vectorcall(
        task->function, task->arguments,
        static_cast<std::size_t>(task->positional) | PY_VECTORCALL_ARGUMENTS_OFFSET,
        task->keyword_names);
}

/// A context without variables, or null with an exception set: the one that the last task on this
/// worker left as it was, if there is one (a fresh one for each task costs 30 ns).
PyObject* take_blank_context(Own& own) {
    PyObject* const kept = std::exchange(own.blank_context, nullptr);
    return kept != nullptr ? kept : PyContext_New();
}

/// As good as new: without variables, and nobody (a Token of a variable, say) has it but for those
/// `references`.
bool is_blank(PyObject* context, Py_ssize_t references) {
    return Py_REFCNT(context) == references &&
           Py_TYPE(context)->tp_as_mapping->mp_length(context) == 0;
}

/// Takes the reference. Keeps a blank context for the next task.
void give_back_context(Own& own, PyObject* context) {
    if (own.blank_context == nullptr && is_blank(context, 1)) {
        own.blank_context = context;
    } else {
        Py_DECREF(context);
    }
}

/// What the worker does besides making one call.
struct Stretch {
    Own& own;
    const Runner* runner;
    int most;      ///< items that may be called after the first
    int done = 0;  ///< items that were
};

/// Calls in the task's context (a fresh one unless it brought a copy), so that nothing a task sets
/// leaks into the next one on the same worker. Of an item the next ones as well, of which the last
/// one's outcome is returned.
PyObject* call_in_context(TaskObject* task, Stretch& stretch) {
    PyObject* const context =
        task->context != nullptr ? Py_NewRef(task->context) : take_blank_context(stretch.own);
    if (context == nullptr || PyContext_Enter(context) != 0) {
        Py_XDECREF(context);
        return nullptr;
    }
    PyObject* result = call(task);
    constexpr Py_ssize_t kOursAndTheThreads = 2;
    while (result != nullptr && stretch.done < stretch.most && task->bulk != nullptr &&
           is_blank(context, kOursAndTheThreads) && worker_may_go_on(stretch.runner, task->pool) &&
           exchange_item(task, result)) {
        ++stretch.done;
        result = call(task);
    }
    PyObject* const raised = result == nullptr ? take_raised_exception() : nullptr;
    if (PyContext_Exit(context) != 0) {
        PyErr_WriteUnraisable(context);
    }
    give_back_context(stretch.own, context);
    if (raised != nullptr) {
        raise_exception(raised);
    }
    return result;
}

/// The pool's initializer, if this worker owes it, then the call.
PyObject* initialize_and_call(TaskObject* task, Stretch& stretch) {
    if (task->pool->initializer != nullptr && !initialize_worker(task->pool)) {
        return nullptr;
    }
    return call_in_context(task, stretch);
}

PyObject* call_measured(TaskObject* task, Stretch& stretch) {
    const core::TimePoint begin = core::monotonic_now();
    const std::int64_t cpu_begin = thread_cpu_ns();
    task->times->queued = ns_between(task->times->spawned, begin);
    task->times->gil_wait = last_gil_wait_ns();
    PyObject* const result = initialize_and_call(task, stretch);
    task->times->wall = ns_between(begin, core::monotonic_now());
    task->times->cpu = thread_cpu_ns() - cpu_begin;
    return result;
}

}  // namespace

TaskObject* current_task() {
    return t_own.current_task;
}

int run_task(TaskObject* task, const Runner* runner, int most) {
    Own& own = t_own;
    Stretch stretch{own, runner, most};
    task->state = TaskState::running;
    task->thread = runner->state.load(std::memory_order_relaxed)->thread_id;
    own.current_task = task;
    trace_task_begins(task);
    PyObject* value =
        task->times != nullptr ? call_measured(task, stretch) : initialize_and_call(task, stretch);
    PyObject* exception = value == nullptr ? take_raised_exception() : nullptr;
    own.current_task = nullptr;
    while (task->kill_with != nullptr) {  // settling runs destructors, which let another kill in
        settle_kill(task, &value, &exception);
    }
    // From here to the task's end no code of the user's runs, which could discard it.
    unlink_running(task);
    trace_task_ends(task, exception);
    if (exception != nullptr) {
        finish_task_with_exception(task, exception);
    } else if (is_unknown_item(task)) {
        end_unknown_item(task, value);
    } else {
        finish_task(task, value, nullptr);
    }
    return stretch.done;
}

void end_unstarted_task(TaskObject* task, PyObject* outcome) {
    finish_task_with_exception(task, outcome);
}

void forget_blank_context() {
    Py_CLEAR(t_own.blank_context);
}

void end_native_task(TaskObject* task, PyObject* value) {
    PyObject* raised =
        value == nullptr && PyErr_Occurred() != nullptr ? take_raised_exception() : nullptr;
    if (task->kill_with != nullptr) {
        std::swap(raised, task->kill_with);
    }
    PyObject* const outdone = task->kill_with;
    task->kill_with = nullptr;
    if (task->times != nullptr && task->native->is_wait()) {
        task->times->wall =
            ns_between(task->times->spawned, core::monotonic_now()) - task->times->queued;
    }
    task->native->task = nullptr;
    task->native = nullptr;
    unlink_running(task);
    trace_native_ends(task, raised);
    if (raised != nullptr) {
        finish_task_with_exception(task, raised);
        Py_XDECREF(value);
    } else {
        finish_task(task, value, nullptr);
    }
    Py_XDECREF(outdone);
}

void fail_inherited_task(TaskObject* task) {
    PyObject* const error = PyObject_CallFunction(
        PyExc_RuntimeError, "s", "the process forked: this task belongs to the parent process");
    if (error == nullptr) {
        PyErr_Clear();
    }
    task->function = nullptr;
    task->positional = 0;
    task->keywords = 0;
    task->context = nullptr;
    task->links = nullptr;
    task->parked = nullptr;
    task->native = nullptr;
    task->bulk = nullptr;
    task->exception = error;
    task->exception_seen = true;
    task->state = TaskState::done;
    move_lent_slot(task, nullptr);  // it waits for ever, in the parent
    PoolObject* const pool = task->pool;
    task->pool = nullptr;
    show_to_collector(task);
    task_left_pool(pool);
    Py_DECREF(as_object(pool));
    Py_DECREF(as_object(task));
}

}  // namespace gilpool::bindings
