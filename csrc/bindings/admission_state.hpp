// bindings/admission_state.hpp: what the parts of admission share: admission.cpp and
// runner_role.cpp, which let runners in and out with the GIL held, and chance.cpp, in which the
// spare looks about without it. Nobody else includes this.
#pragma once

#include <atomic>
#include <cstdint>

#include "bindings/admission.hpp"
#include "bindings/mode.hpp"
#include "core/clock.hpp"
#include "core/parker.hpp"

namespace gilpool::bindings {

struct AdmissionState {
    /// Of the latest runner that took over. Written by it, under the GIL, while it still is the
    /// spare: so the spare may read it without.
    std::uint64_t term = 1;
    std::atomic<bool> work_queued{false};
    std::atomic<bool> spare_exists{false};
    std::atomic<int> active{0};  ///< runners of the present term; written under the GIL
    /// Workers between take_over() and step_down(), in a task or between two; written under the
    /// GIL.
    std::atomic<int> serving{0};
    std::atomic<core::TimePoint::rep> last_progress{0};  ///< a task finished, a runner came
    std::atomic<int> admissions{0};                      ///< beside tasks that have not ended
    std::atomic<bool> spare_naps{false};
    /// A thread that is not ours keeps the GIL while runners block. Written by the spare.
    std::atomic<bool> others_compute{false};
    Mode mode;
    core::Parker nap;            ///< where the spare naps
    AdmissionCounters counters;  ///< written under the GIL or by the spare
};

extern AdmissionState g_admission;

inline core::TimePoint::rep ticks(core::TimePoint when) {
    return when.time_since_epoch().count();
}

inline void note_progress(core::TimePoint now) {
    g_admission.last_progress.store(ticks(now), std::memory_order_relaxed);
}

}  // namespace gilpool::bindings
