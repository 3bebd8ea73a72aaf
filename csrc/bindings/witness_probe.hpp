// bindings/witness_probe.hpp: the rounds of a measurement: calls of a function, and releases of our
// own as a control, each beside a waiting witness.
//
// One thread makes, uses and closes a probe, with the GIL held. The caller has made the switch
// interval longer than the measurement and turned the garbage collector off.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <vector>

#include "bindings/hog_watch.hpp"
#include "bindings/hold_sampler.hpp"
#include "bindings/witness.hpp"
#include "bindings/witness_wakes.hpp"

namespace gilpool::bindings {

class WitnessProbe {
  public:
    /// `old_interval` in seconds is put back if another thread keeps the GIL. With `watch_wakes`
    /// false, wins are all that counts, as where the kernel tells no more.
    WitnessProbe(double old_interval, bool watch_wakes);
    ~WitnessProbe();
    WitnessProbe(const WitnessProbe&) = delete;
    WitnessProbe& operator=(const WitnessProbe&) = delete;

    struct Round {
        std::int64_t calls = 0;
        double wall = 0;          ///< seconds in all calls together
        double longest_call = 0;  ///< seconds
        double cpu = 0;           ///< CPU seconds of the calling thread, our own work included
        std::uint64_t wins = 0;   ///< how often the witness got the GIL during a call
        bool woken = false;       ///< it was woken to take it
        bool watched = false;  ///< all of the round was seen: had it not been woken, nobody let go
    };

    /// How the witness takes part in a round of calls.
    enum class Beside : int {
        watched,    ///< asleep at the GIL when the round begins, and looked after when it ends
        wins_only,  ///< wherever it is; only its wins count, and the round may be long
        nobody      ///< it stays away
    };

    /// Calls function(*args, **kwargs) for `seconds`, at least once, and stops early when the
    /// witness has won. Throws what the function raised.
    Round call(PyObject* function, PyObject* args, PyObject* kwargs, double seconds, Beside beside);

    /// Lets the GIL go `windows` times for `seconds` each, with as much time between, as a function
    /// does that releases it half of the time. True if the witness noticed.
    bool control(std::int64_t windows, double seconds);

    /// Lets the GIL go as briefly as can be, in what the sampler takes for a call, while it watches
    /// closely: again and again for `patience` seconds, once at least, until it has seen that.
    /// False if it has not.
    bool control_closely(double patience);

    bool watches_wakes() const { return wakes_.can_tell(); }

    /// Lets the GIL go for `seconds`.
    void release_for(double seconds);

    /// True once another thread has kept the GIL for long: whatever a round finds then is void, but
    /// what earlier ones found, and what this one found if it was one of calls, is not.
    bool hogged() const { return hogs_.found(); }

    /// Watches from now on whether the calling thread has the GIL in its calls.
    void start_sampling(HoldSampler::Manner manner);
    HoldSampler::Seen stop_sampling();

    /// Close looks so far that found the GIL let go in a call.
    std::uint64_t close_releases() const { return sampler_.releases(); }

    /// Ends both threads; idempotent.
    void close();

  private:
    /// Results of the calls of a round, dropped only when the round has been judged: what their
    /// destructors do is not the function's doing.
    class Results {
      public:
        ~Results();
        void keep(PyObject* result) { results_.push_back(result); }
        std::size_t kept() const { return results_.size(); }

      private:
        std::vector<PyObject*> results_;
    };

    bool settle();
    bool woken_since_settled() const;
    void check_process() const;

    Witness witness_;
    WakeWatch wakes_;
    HogWatch hogs_;
    HoldSampler sampler_;
    std::uint64_t settled_waits_ = 0;
    std::uint32_t generation_;
};

}  // namespace gilpool::bindings
