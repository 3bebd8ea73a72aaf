// bindings/phase_recorder.cpp: the gate, the stamps and the watching thread.
#include "bindings/phase_recorder.hpp"

#include <pybind11/stl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <stdexcept>

#include "bindings/compat.hpp"
#include "bindings/gil.hpp"
#include "core/native_thread.hpp"

namespace gilpool::bindings {

namespace py = pybind11;

namespace {

constexpr std::chrono::milliseconds kLookEvery{1};
constexpr std::array kPhaseNames{"waiting", "held", "released", "end"};

}  // namespace

PhaseRecorder::PhaseRecorder(int threads, int fd, int row, bool gate)
    : fd_(fd), row_(row), gate_(gate) {
    if (threads < 1) {
        throw std::invalid_argument("threads must be at least 1");
    }
    calls_.resize(static_cast<std::size_t>(threads));
    const core::SignalsBlocked blocked;  // the watcher leaves signals to Python's main thread
    watcher_ = std::thread([this] { watch(); });
}

PhaseRecorder::~PhaseRecorder() {
    close();
}

void PhaseRecorder::close() {
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
    }
    changed_.notify_all();
    if (watcher_.joinable()) {  // it needs no GIL, so it may be joined with the GIL held
        watcher_.join();
    }
}

std::vector<PhaseRecorder::Event> PhaseRecorder::events() const {
    const std::lock_guard lock(mutex_);
    return events_;
}

void PhaseRecorder::stamp(int index, Phase phase, core::TimePoint when) {
    Call& call = calls_[static_cast<std::size_t>(index)];
    call.phase = phase;
    const char* const name = kPhaseNames[static_cast<std::size_t>(phase)];
    const std::int64_t ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count();
    events_.emplace_back(index, name, ns, call.thread_id);
    if (fd_ >= 0) {
        char line[96];
        const int length = std::snprintf(line, sizeof line, "P %d %d %s %lld %d\n", row_, index,
                                         name, static_cast<long long>(ns), call.thread_id);
        // One write below PIPE_BUF is atomic. A reader that has gone is no error of the
        // measurement.
        [[maybe_unused]] const auto written = write(fd_, line, static_cast<std::size_t>(length));
    }
}

void PhaseRecorder::spawned(int index) {
    const std::lock_guard lock(mutex_);
    stamp(index, Phase::waiting, core::monotonic_now());
}

void PhaseRecorder::wait_at_gate(int index) {
    const Released released;
    std::unique_lock lock(mutex_);
    calls_[static_cast<std::size_t>(index)].thread_id = static_cast<int>(core::kernel_id());
    if (++arrived_ == static_cast<int>(calls_.size())) {
        // Everybody wants the GIL from this moment on, whenever the kernel lets them run.
        const core::TimePoint now = core::monotonic_now();
        for (int i = 0; i < arrived_; ++i) {
            stamp(i, Phase::waiting, now);
        }
        changed_.notify_all();
        return;
    }
    changed_.wait(lock, [this] { return closing_ || arrived_ >= static_cast<int>(calls_.size()); });
}

PyObject* PhaseRecorder::run(int index, PyObject* function, PyObject* args) {
    if (index < 0 || index >= static_cast<int>(calls_.size())) {
        PyErr_Format(PyExc_IndexError, "index must be below %zu", calls_.size());
        return nullptr;
    }
    if (gate_) {
        wait_at_gate(index);
    }
    Call& call = calls_[static_cast<std::size_t>(index)];
    {
        const std::lock_guard lock(mutex_);
        call.thread_id = static_cast<int>(core::kernel_id());
        call.state = PyThreadState_Get();
        stamp(index, Phase::held, core::monotonic_now());
    }
    PyObject* const result = PyObject_Call(function, args, nullptr);
    const std::lock_guard lock(mutex_);
    call.state = nullptr;
    stamp(index, Phase::end, core::monotonic_now());
    return result;
}

void PhaseRecorder::watch() {
    std::unique_lock lock(mutex_);
    while (!closing_) {
        changed_.wait_for(lock, kLookEvery, [this] { return closing_; });
        for (int i = 0; i < static_cast<int>(calls_.size()); ++i) {
            Call& call = calls_[static_cast<std::size_t>(i)];
            if (call.state == nullptr) {
                continue;
            }
            const Phase seen = holds_gil(call.state) ? Phase::held : Phase::released;
            if (seen != call.phase) {
                stamp(i, seen, core::monotonic_now());
            }
        }
    }
}

void bind_phase_recorder(py::module_& module) {
    py::class_<PhaseRecorder>(module, "PhaseRecorder",
                              "Records what each thread of an experiment does with the GIL.")
        .def(py::init<int, int, int, bool>(), py::arg("threads"), py::kw_only(), py::arg("fd") = -1,
             py::arg("row") = 0, py::arg("gate") = true)
        .def("spawned", &PhaseRecorder::spawned, py::arg("index"),
             "Stamp that call `index` has been asked for.")
        .def(
            "run",
            [](PhaseRecorder& self, int index, py::function function, py::args args) {
                PyObject* const result = self.run(index, function.ptr(), args.ptr());
                if (result == nullptr) {
                    throw py::error_already_set();
                }
                return py::reinterpret_steal<py::object>(result);
            },
            py::arg("index"), py::arg("function"), py::pos_only(),
            "Run function(*args) on this thread as call `index`, stamping its phases.")
        .def("close", &PhaseRecorder::close, "Stop watching; the events stay.")
        .def_property_readonly("events", &PhaseRecorder::events,
                               "List of (index, phase, monotonic ns, native thread id).");
}

}  // namespace gilpool::bindings
