// bindings/native_waits.cpp: arguments, direct calls and reactor work of sleep and wait_fd.
#include "bindings/native_waits.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "bindings/admission.hpp"
#include "bindings/arguments.hpp"
#include "bindings/compat.hpp"
#include "bindings/gil.hpp"
#include "bindings/pool_type.hpp"
#include "bindings/reactor_work.hpp"
#include "bindings/task_kill.hpp"
#include "bindings/task_run.hpp"
#include "bindings/task_type.hpp"
#include "bindings/waiting.hpp"

namespace gilpool::bindings {

namespace {

PyObject* g_sleep = nullptr;
PyObject* g_wait_fd = nullptr;

// --- sleep ---

std::optional<core::Duration> sleep_length(PyObject* const* arguments, Py_ssize_t positional,
                                           PyObject* keyword_names) {
    static constexpr const char* kNames[] = {"seconds"};
    PyObject* values[1] = {};
    if (!bind_arguments({"sleep", kNames, 1, 1}, arguments, positional, keyword_names, values)) {
        return std::nullopt;
    }
    return duration_argument(values[0], "seconds", 1.0);
}

PyObject* sleep(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
    const auto length = sleep_length(args, nargs, names);
    if (!length || sleep_released(core::deadline_after(core::monotonic_now(), *length)) ==
                       WaitOutcome::raised) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

/// What a wait that nobody will end any more leaves in its task.
PyObject* raise_lost_wait() {
    PyErr_SetString(PyExc_RuntimeError, "the wait was lost: no thread can be had for it");
    return nullptr;
}

class SleepWork final : public TimerWork {
  public:
    explicit SleepWork(core::Duration length) : length_(length) {}

    Start start(bool) override {
        return arm(core::deadline_after(core::monotonic_now(), length_)) ? Start::started
                                                                         : Start::failed;
    }

    void deliver() override {
        if (task != nullptr) {
            const bool came = result() == core::WaitEnd::due;
            end_native_task(task, came ? Py_NewRef(Py_None) : raise_lost_wait());
        }
        delete this;
    }

  private:
    const core::Duration length_;
};

// --- wait_fd ---

struct FdArguments {
    int fd;
    short events;
    core::TimePoint deadline;
};

std::optional<FdArguments> fd_arguments(PyObject* const* arguments, Py_ssize_t positional,
                                        PyObject* keyword_names) {
    static constexpr const char* kNames[] = {"fd", "events", "timeout"};
    PyObject* values[3] = {};
    if (!bind_arguments({"wait_fd", kNames, 3, 2}, arguments, positional, keyword_names, values)) {
        return std::nullopt;
    }
    const int fd = PyObject_AsFileDescriptor(values[0]);
    if (fd < 0) {
        return std::nullopt;
    }
    if (PyIndex_Check(values[1]) == 0) {
        PyErr_Format(PyExc_TypeError, "events must be an int, not %.200s",
                     Py_TYPE(values[1])->tp_name);
        return std::nullopt;
    }
    const Py_ssize_t events = PyNumber_AsSsize_t(values[1], nullptr);
    if (PyErr_Occurred() != nullptr) {
        return std::nullopt;
    }
    if (events == 0 || (events & ~(POLLIN | POLLOUT)) != 0) {
        PyErr_SetString(PyExc_ValueError, "events must be select.POLLIN, select.POLLOUT or both");
        return std::nullopt;
    }
    const auto deadline = timeout_argument(values[2], "timeout");
    if (!deadline) {
        return std::nullopt;
    }
    return FdArguments{fd, static_cast<short>(events), *deadline};
}

PyObject* raise_errno(int number) {
    errno = number;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/// What the descriptor is ready for, as an int, waiting at most `ms`. Without the GIL if it waits.
int poll_now(const FdArguments& wait, int ms, short* ready) {
    pollfd entry{.fd = wait.fd, .events = wait.events, .revents = 0};
    const int found = poll(&entry, 1, ms);
    *ready = entry.revents;
    return found < 0 ? errno : (entry.revents & POLLNVAL) != 0 ? EBADF : 0;
}

/// Rounded up: a poll that ends early would be repeated for the rest.
int milliseconds_until(core::TimePoint deadline) {
    using std::chrono::milliseconds;
    constexpr milliseconds kLongest{1'000'000};
    const core::TimePoint now = core::monotonic_now();
    if (deadline <= now) {
        return 0;
    }
    return deadline - now > kLongest
               ? static_cast<int>(kLongest.count())
               : static_cast<int>(std::chrono::ceil<milliseconds>(deadline - now).count());
}

/// Waits on the calling thread; the main thread and tasks look up every kSignalSlice.
PyObject* wait_here(const FdArguments& wait) {
    TaskObject* const task = current_task();
    const bool sees_signals = is_main_thread();
    const bool lent = lend_own_slot();
    PyObject* answer = nullptr;
    while (answer == nullptr && !deliver_kill(task)) {
        core::TimePoint until = wait.deadline;
        if (task != nullptr || sees_signals) {
            until = std::min(until, core::monotonic_now() + kSignalSlice);
        }
        lend_runner_role();
        short ready = 0;
        int error = 0;
        {
            const Released released;
            error = poll_now(wait, milliseconds_until(until), &ready);
        }
        if (error == EINTR || (error == 0 && ready == 0)) {
            if (sees_signals && !look_for_signals()) {
                break;
            }
            if (core::monotonic_now() >= wait.deadline) {
                answer = PyLong_FromLong(0);
            }
        } else if (error != 0) {
            raise_errno(error);
            break;
        } else {
            answer = PyLong_FromLong(ready);
        }
    }
    if (lent) {
        take_own_slot_back();
    }
    return answer;
}

class WaitFdWork final : public DescriptorWork {
  public:
    explicit WaitFdWork(const FdArguments& wait)
        : DescriptorWork(wait.fd,
                         wait.events == POLLIN ? core::Direction::read : core::Direction::write),
          wait_(wait),
          timeout_(wait.deadline == core::kNever ? core::Duration::max()
                                                 : wait.deadline - core::monotonic_now()) {}

    /// The timeout counts from here: its task may have stood in line.
    Start start(bool) override {
        const core::TimePoint deadline = core::deadline_after(core::monotonic_now(), timeout_);
        switch (core::Reactor::process().arm_fd(*this, deadline)) {
            case core::ArmResult::armed:
                return Start::started;
            case core::ArmResult::not_pollable:  // always ready, as poll() says too
            case core::ArmResult::bad_descriptor:
                never_armed_ = true;
                hand_over(this, this);
                return Start::started;
            default:
                return Start::for_python;  // somebody waits for the same: a thread can, too
        }
    }

    bool end() override { return !never_armed_ && DescriptorWork::end(); }

    void deliver() override {
        if (task != nullptr) {
            end_native_task(task, answer());
        }
        delete this;
    }

  private:
    PyObject* answer() const {
        if (!never_armed_ && result() == core::WaitEnd::closed) {
            return raise_errno(EBADF);
        }
        if (!never_armed_ && result() >= core::WaitEnd::shut_down) {
            return raise_lost_wait();
        }
        short ready = 0;
        const int error = poll_now(wait_, 0, &ready);
        return error == 0 ? PyLong_FromLong(ready) : raise_errno(error);
    }

    const FdArguments wait_;
    const core::Duration timeout_;
    bool never_armed_ = false;
};

PyObject* wait_fd(PyObject*, PyObject* const* args, Py_ssize_t nargs, PyObject* names) {
    const auto wait = fd_arguments(args, nargs, names);
    return wait ? wait_here(*wait) : nullptr;
}

PyDoc_STRVAR(sleep_doc,
             "sleep($module, /, seconds)\n--\n\n"
             "Sleep `seconds` with the GIL released.\n\n"
             "Unlike time.sleep it ends at once, with TaskExit, when the task it runs in is told\n"
             "to stop. Spawned by itself, as in pool.spawn(gilpool.sleep, 1), it needs no thread:\n"
             "a million of them wait at once.\n\n"
             "    >>> import gilpool\n"
             "    >>> gilpool.sleep(0.001)\n\n"
             "GIL: released while asleep. Thread safety: any thread.\n"
             "Raises TypeError or ValueError for what is no length of time.");
PyDoc_STRVAR(
    wait_fd_doc,
    "wait_fd($module, /, fd, events, timeout=None)\n--\n\n"
    "Wait until a descriptor is ready; return for what, as select.poll would, or 0.\n\n"
    "`fd` is an int or has a fileno(); `events` select.POLLIN, select.POLLOUT or both; 0 is\n"
    "returned when `timeout` seconds are over. What the system adds (POLLERR, POLLHUP) counts as\n"
    "ready, and a regular file always is. Spawned by itself it needs no thread, unless it waits\n"
    "for both or another task waits for the same. A descriptor must stay open meanwhile: the\n"
    "kernel tells nobody that one has gone.\n\n"
    "    >>> import gilpool, os, select\n"
    "    >>> reader, writer = os.pipe()\n"
    "    >>> task = gilpool.spawn(gilpool.kernels.wait_fd, reader, select.POLLIN, timeout=5)\n"
    "    >>> written = os.write(writer, b'x')\n"
    "    >>> task.get() == select.POLLIN\n"
    "    True\n\n"
    "GIL: released while it waits. Thread safety: any thread.\n"
    "Raises OSError (EBADF) for a closed descriptor, TypeError or ValueError for bad arguments.");

PyMethodDef wait_functions[] = {
    {"sleep", fastcall_method(sleep), METH_FASTCALL | METH_KEYWORDS, sleep_doc},
    {"wait_fd", fastcall_method(wait_fd), METH_FASTCALL | METH_KEYWORDS, wait_fd_doc},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

bool is_native_wait(PyObject* function) {
    return function == g_sleep || function == g_wait_fd;
}

NativeWork* wait_work_for(const TaskObject* task) {
    NativeWork* work = nullptr;
    if (task->function == g_sleep) {
        if (const auto length =
                sleep_length(task->arguments, task->positional, task->keyword_names)) {
            work = new SleepWork(*length);
        }
    } else if (const auto wait =
                   fd_arguments(task->arguments, task->positional, task->keyword_names);
               wait && wait->events != (POLLIN | POLLOUT)) {
        work = new WaitFdWork(*wait);
    }
    PyErr_Clear();
    return work;
}

int add_native_waits(PyObject* module) {
    if (PyModule_AddFunctions(module, wait_functions) != 0) {
        return -1;
    }
    g_sleep = PyObject_GetAttrString(module, "sleep");
    g_wait_fd = PyObject_GetAttrString(module, "wait_fd");
    return g_sleep != nullptr && g_wait_fd != nullptr ? 0 : -1;
}

}  // namespace gilpool::bindings
