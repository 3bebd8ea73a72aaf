// bindings/mode.hpp: do the tasks of late mostly block, or mostly compute under the GIL?
// Written by the spare only (there is one at a time), read by any thread; no lock.
//
// The evidence comes from what spares see, never from how tasks end: judged at task ends ("did
// another worker get in meanwhile?") 600 hashing tasks met 156 polled starts and lost 0.2 of their
// throughput. The weights are those of scheduling measurements on seven kinds of load; none of them
// is sharp (a penalty of 0.9 in place of 0.5 made no difference).
#pragma once

#include <atomic>

namespace gilpool::bindings {

class Mode {
  public:
    /// True while recent tasks mostly block: then a spare waits at the GIL, and a worker that comes
    /// back from blocking takes the next task.
    bool tasks_block() const { return blocking_.load(std::memory_order_relaxed) > 0.5F; }

    /// The spare got the GIL sooner than a forced switch allows.
    void spare_got_in_quickly() { approach_one(0.25F); }

    /// The polling spare saw the GIL free for longer than a task boundary takes.
    void spare_saw_gil_free() { approach_one(0.5F); }

    /// The polling spare saw a runner hold the GIL.
    void spare_saw_gil_held() { shrink_to(0.9F); }

    /// The spare got the GIL though the runner wanted to keep it.
    void spare_intruded() { shrink_to(0.5F); }

    float value() const { return blocking_.load(std::memory_order_relaxed); }
    void reset() { blocking_.store(1.0F); }

  private:
    void approach_one(float share) {
        const float now = blocking_.load(std::memory_order_relaxed);
        blocking_.store(now + (1.0F - now) * share, std::memory_order_relaxed);
    }
    void shrink_to(float factor) {
        blocking_.store(blocking_.load(std::memory_order_relaxed) * factor,
                        std::memory_order_relaxed);
    }

    /// 1: all block; 0: all compute. Starts at 1: for blocking tasks a wrong guess costs a nap for
    /// each start, for computing ones a single forced switch.
    std::atomic<float> blocking_{1.0F};
};

}  // namespace gilpool::bindings
