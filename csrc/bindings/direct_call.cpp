// bindings/direct_call.cpp: runs a kernel here, or on a lane while this thread waits.
#include "bindings/direct_call.hpp"

#include <chrono>

#include "bindings/compat.hpp"
#include "bindings/gil.hpp"
#include "bindings/kernel_work.hpp"
#include "bindings/task_type.hpp"
#include "bindings/waiting.hpp"

namespace gilpool::bindings {

namespace {

/// How long an interrupted call waits for its kernel to stop; then it goes on in the background,
/// and its result is dropped. With one look for signals this stays below 50 ms.
constexpr std::chrono::milliseconds kStopsWithin{8};

/// How often whoever waits for a batch is told how far it is.
constexpr std::chrono::milliseconds kProgressEvery{100};

/// The result, or the exception; the work is destroyed.
PyObject* take_result(KernelWork* work, bool keep_gil) {
    PyObject* const result = work->result(keep_gil);
    delete work;
    return result;
}

PyObject* run_here(KernelWork* work) {
    {
        const Released released;
        work->run(kernels::Stop());
    }
    return take_result(work, false);
}

/// The calling thread's interest in work that a lane does, for a scope: also when the thread is
/// unwound out of it.
class Watch {
  public:
    explicit Watch(KernelWork& work)
        : work_(work), sent_(work.send(waiter_, current_task() == nullptr)) {}
    ~Watch() {
        if (sent_) {
            work_.forget(waiter_);
        }
        waiter_.leave();
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    bool sent() const { return sent_; }

    /// Waits until the work is over (true), or it has been left alone because of an exception.
    bool finish() {
        WaitOutcome outcome = WaitOutcome::timed_out;
        while (outcome == WaitOutcome::timed_out) {
            outcome = wait_for(waiter_, work_.progress_callback() != nullptr
                                            ? core::monotonic_now() + kProgressEvery
                                            : core::kNever);
            if (outcome != WaitOutcome::raised && !tell_progress()) {
                outcome = WaitOutcome::raised;
            }
        }
        if (outcome == WaitOutcome::notified) {
            return true;
        }
        PyObject* const exception = take_raised_exception();
        work_.ask_to_stop();
        if (!work_.is_over()) {
            const Released released;
            waiter_.wait_until(core::monotonic_now() + kStopsWithin);
        }
        raise_exception(exception);
        return false;
    }

  private:
    /// Calls progress(done, total), if there is one; false with its exception set.
    bool tell_progress() {
        if (work_.progress_callback() == nullptr) {
            return true;
        }
        PyObject* const answer = PyObject_CallFunction(
            work_.progress_callback(), "nn", static_cast<Py_ssize_t>(work_.items_finished()),
            static_cast<Py_ssize_t>(work_.items()));
        Py_XDECREF(answer);
        return answer != nullptr;
    }

    KernelWork& work_;
    PatientWaiter waiter_;
    const bool sent_;
};

enum class Outcome { over, interrupted, not_sent };

Outcome watch(KernelWork& work) {
    Watch watching(work);
    if (!watching.sent()) {
        return Outcome::not_sent;
    }
    return watching.finish() ? Outcome::over : Outcome::interrupted;
}

PyObject* run_on_lane(KernelWork* work) {
    switch (watch(*work)) {
        case Outcome::over:
            return take_result(work, false);
        case Outcome::not_sent:  // no thread can be had, or the interpreter is about to end
            return run_here(work);
        case Outcome::interrupted:
            break;
    }
    if (work->abandon()) {
        delete work;
    }
    return nullptr;
}

}  // namespace

PyObject* call_holding(KernelWork* work) {
    work->run_alone();
    return take_result(work, true);
}

PyObject* call_releasing(KernelWork* work) {
    const bool may_be_interrupted = is_main_thread() || current_task() != nullptr;
    return may_be_interrupted || work->progress_callback() != nullptr ? run_on_lane(work)
                                                                      : run_here(work);
}

}  // namespace gilpool::bindings
