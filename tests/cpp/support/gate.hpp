// A gate that holds jobs up until the test opens it, so that "a job is running" is a fact, not a
// guess. Any thread.
#pragma once

#include <gtest/gtest.h>

#include "core/latch.hpp"
#include "core/parker.hpp"
#include "core/pool.hpp"
#include "core/stop_token.hpp"

namespace gilpool::testing {

/// Jobs that wait at the gate do not declare that they block: they stand for a long computation.
class Gate {
  public:
    void open() { open_.request_stop(); }
    void wait() { open_.sleep_until(core::kNever); }

    /// occupy() posts a job that waits at the gate, and returns when it is running.
    void occupy(core::Pool& pool, core::Lane lane) {
        core::Latch started(1);
        Arrival arrival{this, &started};
        ASSERT_TRUE(pool.post(
            [](void* context) {
                const Arrival arrived = *static_cast<Arrival*>(context);
                arrived.started->count_down();
                arrived.gate->wait();
            },
            &arrival, lane));
        started.wait();
    }

  private:
    struct Arrival {
        Gate* gate;
        core::Latch* started;
    };
    core::StopToken open_;
};

}  // namespace gilpool::testing
