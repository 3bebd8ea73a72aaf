// One native thread of the library's own: small, without signals, and truly gone after the join.
// Not thread-safe: the owner's lock guards every call.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace gilpool::core {

/// Starts and joins a thread that has all signals blocked; see SignalsBlocked.
class ServiceThread {
  public:
    using Function = void (*)(void* context);

    /// `start(name, function, context)` runs the function on a new thread; false if there is none
    /// to be had. No other thread may be joinable. At most 15 characters of the name count.
    [[nodiscard]] bool start(const char* name, Function function, void* context) noexcept;

    bool joinable() const noexcept { return joinable_; }

    /// `join()` waits for the thread to end, and until the kernel does not count it any more.
    void join() noexcept;

    /// `abandon()` forgets the thread without a join: in a forked child it does not exist.
    void abandon() noexcept { joinable_ = false; }

  private:
    static void* enter(void* self) noexcept;

    Function function_ = nullptr;
    void* context_ = nullptr;
    pthread_t thread_{};
    sigset_t signals_{};  ///< for threads that this one makes
    /// The kernel's id; written by the thread as it begins, read by others once they have joined
    /// it.
    long id_ = 0;
    bool joinable_ = false;
};

}  // namespace gilpool::core
