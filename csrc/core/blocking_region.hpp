// Says that the calling thread is about to block: a worker lends its cpu token meanwhile.
// Any thread, never with the GIL held (leaving takes the pool's lock); on other threads it does
// nothing.
#pragma once

namespace gilpool::core {

/// BlockingRegion lends the worker's token from construction to destruction, and lets the pool
/// grow if work waits. On leaving, the token is taken back if one is free; otherwise the task
/// runs on without (one thread too many for the rest of that task) rather than queue for it.
/// Regions nest; only the outermost counts.
class BlockingRegion {
  public:
    BlockingRegion();
    ~BlockingRegion();
    BlockingRegion(const BlockingRegion&) = delete;
    BlockingRegion& operator=(const BlockingRegion&) = delete;

  private:
    void* const worker_;  // null outside of a worker
};

}  // namespace gilpool::core
