// What a pool counts, as one consistent snapshot.
// A plain value; see Pool::stats().
#pragma once

#include <cstddef>
#include <cstdint>

namespace gilpool::core {

/// A snapshot of one pool.
struct PoolStats {
    std::size_t threads = 0;     // that exist or are being created
    std::size_t queued_cpu = 0;  // jobs that no thread has begun
    std::size_t queued_blocking = 0;
    std::size_t running = 0;       // threads inside a job, blocked ones included
    std::size_t blocked = 0;       // of these, in a BlockingRegion
    std::size_t idle = 0;          // parked threads
    std::uint64_t executed = 0;    // jobs that workers have run (a busy worker reports per batch)
    std::uint64_t taken_back = 0;  // tasks cancelled, or run by who waited for them
    std::uint64_t dropped = 0;     // posted jobs that a shutdown cancelled
    std::uint64_t grown = 0;       // threads created
    std::uint64_t retired = 0;     // threads ended
    std::size_t unjoined = 0;      // of these, whose stacks are yet to be freed
    std::uint64_t refused = 0;     // times the system had no thread for us
    std::uint64_t wakeups = 0;     // parked threads woken
    std::uint64_t stolen = 0;      // batches shared with a second worker
    std::size_t abandoned = 0;     // threads that a shutdown left behind
    std::size_t cpu_tokens = 0;    // threads that may run cpu jobs at once
    std::size_t blocking_cap = 0;  // threads that may run blocking jobs at once

    std::size_t queued() const noexcept { return queued_cpu + queued_blocking; }
};

}  // namespace gilpool::core
