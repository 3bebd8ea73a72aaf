// bindings/witness_probe.cpp: settling the witness, the rounds of calls and of control.
#include "bindings/witness_probe.hpp"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "bindings/compat.hpp"
#include "bindings/cpu_clock.hpp"
#include "bindings/gil.hpp"
#include "bindings/gil_words.hpp"
#include "core/clock.hpp"
#include "core/fork.hpp"

namespace gilpool::bindings {

namespace py = pybind11;
using namespace std::chrono_literals;

namespace {

/// The witness comes back about as often as it can without starving short calls.
constexpr auto kShortestNap = 30us;
constexpr auto kLongestNap = 70us;

/// How long the witness may take to get to the GIL and fall asleep there before a round begins
/// without it: on a machine that busy, wins have to do.
constexpr auto kSettleWithin = 50ms;
constexpr timespec kSettleNap{0, 20'000};

/// A brief release of our own comes this long after the begin of what stands for a call, and before
/// its end: what the shortest calls need that release.
constexpr auto kAroundRelease = 1us;

/// A round keeps no more results than this, so that what they occupy stays small, and makes no more
/// calls than that, so that a single release among them is soon met again.
constexpr std::size_t kMostKept = 64;
constexpr std::int64_t kMostCalls = 1024;

/// True if the end of `result` runs nobody's code: it need not be kept.
bool ends_quietly(PyObject* result) {
    return result == Py_None || PyBool_Check(result) || PyLong_CheckExact(result) ||
           PyFloat_CheckExact(result) || PyUnicode_CheckExact(result) || PyBytes_CheckExact(result);
}

double seconds(core::Duration duration) {
    return std::chrono::duration<double>(duration).count();
}

core::Duration duration_of(double seconds) {
    return std::chrono::duration_cast<core::Duration>(std::chrono::duration<double>(seconds));
}

void spin_until(core::TimePoint deadline) {
    while (core::monotonic_now() < deadline) {
    }
}

}  // namespace

WitnessProbe::Results::~Results() {
    if (interpreter_is_finalizing()) {  // a daemon thread is being unwound, without the GIL
        return;
    }
    for (PyObject* const result : results_) {
        Py_DECREF(result);
    }
}

WitnessProbe::WitnessProbe(double old_interval, bool watch_wakes)
    : witness_(kShortestNap, kLongestNap), generation_(core::fork_generation()) {
    witness_.pause(true);
    const bool started =
        witness_.start() &&
        (!gil_words_are_readable() ||
         hogs_.start(witness_.state(), static_cast<unsigned long>(old_interval * 1e6)));
    if (!started) {
        close();
        throw std::system_error(EAGAIN, std::generic_category(), "no threads for the measurement");
    }
    if (watch_wakes) {
        wakes_.open(witness_.native_id());
    }
}

WitnessProbe::~WitnessProbe() {
    close();
}

void WitnessProbe::close() {
    if (core::fork_generation() != generation_) {
        witness_.abandon();
        hogs_.abandon();
        sampler_.abandon();
        return;
    }
    sampler_.stop();
    hogs_.stop();
    witness_.stop();
    wakes_.close();
}

void WitnessProbe::check_process() const {
    if (core::fork_generation() != generation_) {
        throw std::runtime_error(
            "the measured function forked, and returned in the child: it is not measured there");
    }
    if (!witness_.running()) {
        throw std::runtime_error("the probe is closed");
    }
}

/// Waits, keeping the GIL, until the witness sleeps at the GIL; false if it did not get there.
bool WitnessProbe::settle() {
    const core::TimePoint deadline = core::monotonic_now() + kSettleWithin;
    // Between wanting the GIL and sleeping there the witness may wait for the lock inside it: two
    // looks apart that agree mean that it has arrived.
    std::optional<WakeWatch::Look> before;
    while (wakes_.can_tell()) {
        std::optional<WakeWatch::Look> look;
        if (witness_.wants_gil()) {
            look = wakes_.look();
            if (look && look->asleep && before && before->waits == look->waits) {
                settled_waits_ = look->waits;
                return true;
            }
        }
        before = look && look->asleep ? look : std::nullopt;
        if (core::monotonic_now() > deadline) {
            return false;
        }
        nanosleep(&kSettleNap, nullptr);
    }
    return false;
}

bool WitnessProbe::woken_since_settled() const {
    const auto look = wakes_.look();
    return look && (!look->asleep || look->waits != settled_waits_);
}

WitnessProbe::Round WitnessProbe::call(PyObject* function, PyObject* args, PyObject* kwargs,
                                       double at_least, Beside beside) {
    check_process();
    witness_.pause(beside == Beside::nobody);
    PyObject* const keywords = kwargs != nullptr && PyDict_GET_SIZE(kwargs) > 0 ? kwargs : nullptr;
    Round round;
    Results results;
    round.watched = beside == Beside::watched && settle();
    const std::uint64_t wins_before = witness_.wins(Witness::Phase::call);
    const std::int64_t cpu_before = thread_cpu_ns();
    const core::TimePoint began = core::monotonic_now();
    const core::TimePoint enough = began + duration_of(at_least);
    while (true) {
        const core::TimePoint call_began = core::monotonic_now();
        sampler_.begin_call(call_began);
        witness_.enter(Witness::Phase::call);
        PyObject* const result = PyObject_Call(function, args, keywords);
        witness_.enter(Witness::Phase::idle);
        const core::TimePoint call_ended = core::monotonic_now();
        sampler_.end_call();
        if (result == nullptr) {
            throw py::error_already_set();
        }
        check_process();
        const double took = seconds(call_ended - call_began);
        round.wall += took;
        round.longest_call = std::max(round.longest_call, took);
        ++round.calls;
        round.wins = witness_.wins(Witness::Phase::call) - wins_before;
        if (round.watched && !ends_quietly(result)) {
            results.keep(result);
        } else {
            Py_DECREF(result);
        }
        if (!round.watched) {
            // Not in a watched round: what a signal handler does is not the function's doing.
            if (PyErr_CheckSignals() != 0) {
                throw py::error_already_set();
            }
        }
        const bool full =
            round.watched && (results.kept() >= kMostKept || round.calls >= kMostCalls);
        const bool won = round.wins > 0 && beside != Beside::nobody;
        if (full || won || call_ended >= enough) {
            break;
        }
    }
    round.cpu = static_cast<double>(thread_cpu_ns() - cpu_before) * 1e-9;
    if (round.watched) {
        round.woken = woken_since_settled();
        if (PyErr_CheckSignals() != 0) {
            throw py::error_already_set();
        }
    }
    return round;
}

bool WitnessProbe::control(std::int64_t windows, double length) {
    check_process();
    witness_.pause(false);
    const bool watched = settle();
    const std::uint64_t wins_before = witness_.wins(Witness::Phase::control);
    const core::Duration window = duration_of(length);
    for (std::int64_t i = 0; i < windows; ++i) {
        witness_.enter(Witness::Phase::control);
        {
            const Released released;
            spin_until(core::monotonic_now() + window);
        }
        witness_.enter(Witness::Phase::idle);
        if (PyErr_CheckSignals() != 0) {
            throw py::error_already_set();
        }
        if (watched) {
            return woken_since_settled() || witness_.wins(Witness::Phase::control) > wins_before;
        }
        spin_until(core::monotonic_now() + window);
    }
    return witness_.wins(Witness::Phase::control) > wins_before;
}

bool WitnessProbe::control_closely(double patience) {
    check_process();
    const core::TimePoint enough = core::monotonic_now() + duration_of(patience);
    while (true) {
        const std::uint64_t before = sampler_.releases();
        const core::TimePoint began = core::monotonic_now();
        sampler_.begin_call(began);
        spin_until(began + kAroundRelease);
        {
            const Released released;
        }
        spin_until(core::monotonic_now() + kAroundRelease);
        sampler_.end_call();
        if (sampler_.releases() != before) {
            return true;
        }
        if (core::monotonic_now() >= enough) {
            return false;
        }
    }
}

void WitnessProbe::release_for(double seconds) {
    const Released released;
    std::this_thread::sleep_for(duration_of(seconds));
}

void WitnessProbe::start_sampling(HoldSampler::Manner manner) {
    check_process();
    if (!sampler_.running() && !sampler_.start(manner)) {
        throw std::system_error(EAGAIN, std::generic_category(), "no thread for the sampler");
    }
}

HoldSampler::Seen WitnessProbe::stop_sampling() {
    sampler_.stop();
    return sampler_.seen();
}

}  // namespace gilpool::bindings
