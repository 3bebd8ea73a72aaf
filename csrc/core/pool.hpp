// core/pool.hpp: the process's native worker threads; posts a function, runs it soon on one of
// them. Any thread may call, with or without the GIL; one mutex guards queue and workers and is
// never held while a posted function runs or a thread is joined.
//
// Guarantees: a posted function runs exactly once or post() said false; it never waits behind one
// that blocks as long as another thread can be made; an idle process has no threads.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "core/clock.hpp"

namespace gilpool::core {

/// What a posted function mostly does.
enum class Lane : std::uint8_t {
    cpu,      ///< computes
    blocking  ///< may block in the kernel, in foreign code or at the GIL
};

struct PoolStats {
    std::size_t queued = 0;      ///< posted, not yet taken by a worker
    std::size_t threads = 0;     ///< alive workers
    std::size_t idle = 0;        ///< of these, parked
    std::uint64_t started = 0;   ///< workers ever started
    std::uint64_t retired = 0;   ///< workers ended after idling
    std::size_t thread_cap = 0;  ///< most workers there may be at once
};

struct ThreadHooks {
    /// Runs on each worker before it ends; not noexcept, may never return.
    void (*on_exit)() = nullptr;
};

class Pool {
  public:
    /// Not noexcept: CPython up to 3.13.7 unwinds a thread that comes back into a dying
    /// interpreter.
    using Function = void (*)(void* context);

    /// The process's pool. Never destroyed: threads may outlive static destruction.
    static Pool& process();

    Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// Queues function(context). Never blocks. When no further thread can be made the function
    /// waits for one that is there. False, and nothing queued, once shut down or if there is no
    /// thread at all.
    bool post(Function function, void* context, Lane lane);

    /// Set before the first post.
    void set_thread_hooks(ThreadHooks hooks);

    /// How long a worker stays parked before it ends.
    void set_idle_timeout(std::chrono::milliseconds timeout);

    /// Ends the workers that are idle now and waits, up to `deadline`, until they are gone.
    void retire_idle(TimePoint deadline);

    /// Refuses posts, runs what is queued, ends the workers. Returns the number of workers that
    /// were still busy at `deadline`: they are abandoned and end on their own. Idempotent.
    std::size_t shutdown(TimePoint deadline);

    PoolStats stats() const;

  private:
    friend class PoolForkHandler;
    struct Worker;
    struct Impl;

    static void* worker_entry(void* worker);
    void work(Worker& self);
    bool start_worker();

    Impl* impl_;
};

}  // namespace gilpool::core
