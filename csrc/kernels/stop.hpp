// kernels/stop.hpp: how a kernel learns that nobody wants its result any more. Any thread.
#pragma once

#include <atomic>

namespace gilpool::kernels {

/// A view of a flag that somebody else raises once; kernels look at it every 10 ms or so of work.
/// Relaxed order suffices: the flag carries no data, it only ends the work early.
class Stop {
  public:
    Stop() noexcept = default;
    explicit Stop(const std::atomic<bool>& flag) noexcept : flag_(&flag) {}

    bool requested() const noexcept {
        return flag_ != nullptr && flag_->load(std::memory_order_relaxed);
    }

  private:
    const std::atomic<bool>* flag_ = nullptr;
};

}  // namespace gilpool::kernels
