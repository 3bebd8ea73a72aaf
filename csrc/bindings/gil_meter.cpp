// bindings/gil_meter.cpp: the watching thread, and the class that Python sees.
#include "bindings/gil_meter.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <system_error>

#include "bindings/gil_words.hpp"
#include "core/fork.hpp"

namespace gilpool::bindings {

namespace py = pybind11;

namespace {

constexpr double kNanosecond = 1e-9;

/// Knocks come at random, within this share of their mean distance.
constexpr double kKnockJitter = 0.25;

std::int64_t now_ns() {
    return core::monotonic_now().time_since_epoch().count();
}

core::Duration duration_of(double seconds) {
    return std::chrono::duration_cast<core::Duration>(std::chrono::duration<double>(seconds));
}

std::unique_ptr<Witness> make_knocker(double knocks) {
    if (knocks <= 0) {
        return nullptr;
    }
    return std::make_unique<Witness>(duration_of((1 - kKnockJitter) / knocks),
                                     duration_of((1 + kKnockJitter) / knocks));
}

/// Adds to a counter that only the calling thread writes.
template <typename Number>
void add(std::atomic<Number>& counter, Number amount) {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

}  // namespace

GilMeter::GilMeter(double hz, double knocks)
    : period_(duration_of(1 / hz)),
      generation_(core::fork_generation()),
      knocker_(make_knocker(knocks)) {}

GilMeter::~GilMeter() {
    stop();
}

void GilMeter::start() {
    if (started_) {
        throw std::runtime_error("a Meter can be started only once");
    }
    if (!gil_words_are_readable()) {
        throw std::runtime_error("this interpreter does not tell who holds the GIL");
    }
    started_ = true;
    began_ns_ = now_ns();
    if (!watcher_.start([](void* self) { static_cast<GilMeter*>(self)->watch(); }, this)) {
        ended_ns_ = began_ns_.load();
        throw std::system_error(EAGAIN, std::generic_category(), "no thread for the meter");
    }
    if (knocker_ && !knocker_->start()) {
        stop();
        throw std::system_error(EAGAIN, std::generic_category(), "no thread for the meter");
    }
}

void GilMeter::stop() {
    if (!started_ || ended_ns_ != 0) {
        return;
    }
    ended_ns_ = now_ns();
    if (core::fork_generation() != generation_) {  // the threads are in the parent
        watcher_.abandon();
        if (knocker_) {
            knocker_->abandon();
        }
        return;
    }
    stop_.release();
    watcher_.join();
    if (knocker_) {
        knocker_->stop();
    }
}

GilMeter::Counters GilMeter::counters() const {
    Counters counters;
    if (!started_) {
        return counters;
    }
    const std::int64_t ended = ended_ns_ != 0 ? ended_ns_.load() : now_ns();
    counters.elapsed = static_cast<double>(ended - began_ns_) * kNanosecond;
    counters.busy = static_cast<double>(busy_ns_) * kNanosecond;
    counters.missed = static_cast<double>(missed_ns_) * kNanosecond;
    counters.longest_hold = static_cast<double>(longest_ns_) * kNanosecond;
    counters.switches = switches_;
    counters.looks = looks_;
    if (knocker_) {
        counters.waited = static_cast<double>(knocker_->waited_ns()) * kNanosecond;
        counters.knocks = knocker_->wins(Witness::Phase::idle);
    }
    return counters;
}

void GilMeter::watch() {
    // Somewhat irregular, so that it falls into step with nothing that happens regularly.
    Naps naps(period_ - period_ / 8, period_ + period_ / 8);
    const std::int64_t period = period_.count();
    const std::uint64_t first_switch = gil_switches();
    std::uint64_t last_switch = first_switch;
    const PyThreadState* last_holder = nullptr;
    std::int64_t held_since = 0;
    std::int64_t last_look = began_ns_;
    bool stopping = false;
    while (!stopping) {
        stopping = naps.take(stop_);
        const PyThreadState* const holder = gil_holder();
        const std::uint64_t switches = gil_switches();
        const std::int64_t now = now_ns();
        const std::int64_t gap = now - last_look;
        last_look = now;
        // A look stands for the time since the one before. What is far more than a period was not
        // seen by anybody.
        const std::int64_t seen = std::min(gap, 2 * period);
        add(missed_ns_, gap - seen);
        add(looks_, std::uint64_t{1});
        switches_.store(switches - first_switch, std::memory_order_relaxed);
        if (holder == nullptr) {
            last_holder = nullptr;
            continue;
        }
        add(busy_ns_, seen);
        if (holder != last_holder || switches != last_switch) {
            held_since = now;
            last_holder = holder;
            last_switch = switches;
        }
        longest_ns_.store(std::max(longest_ns_.load(std::memory_order_relaxed), now - held_since),
                          std::memory_order_relaxed);
    }
}

void bind_gil_meter(py::module_& module) {
    py::class_<GilMeter>(module, "GilMeter", "Counters of how busy the GIL is.")
        .def(py::init<double, double>(), py::arg("hz"), py::arg("knocks"))
        .def("start", &GilMeter::start, "Begin to count.")
        .def("stop", &GilMeter::stop, "Count no longer; idempotent.")
        .def(
            "counters",
            [](const GilMeter& self) {
                const GilMeter::Counters counters = self.counters();
                py::dict result;
                result["elapsed"] = counters.elapsed;
                result["busy"] = counters.busy;
                result["missed"] = counters.missed;
                result["longest_hold"] = counters.longest_hold;
                result["waited"] = counters.waited;
                result["knocks"] = counters.knocks;
                result["switches"] = counters.switches;
                result["looks"] = counters.looks;
                return result;
            },
            "All counters, as a new dict.");
}

}  // namespace gilpool::bindings
