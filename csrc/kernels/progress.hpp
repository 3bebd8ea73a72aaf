// kernels/progress.hpp: how far a batch has come. Any thread may count and any other read.
#pragma once

#include <atomic>
#include <cstdint>

namespace gilpool::kernels {

/// Counts finished items, good and failed alike. Several threads may share one for the chunks of a
/// batch. Relaxed order suffices: it is shown to people, results travel another way.
class Progress {
  public:
    void finish(std::uint64_t items = 1) noexcept {
        finished_.fetch_add(items, std::memory_order_relaxed);
    }
    std::uint64_t finished() const noexcept { return finished_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> finished_{0};
};

}  // namespace gilpool::kernels
