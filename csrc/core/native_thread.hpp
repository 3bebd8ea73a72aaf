// What every native thread of ours needs: to begin without signals, and to be truly gone once
// joined. Any thread, without the GIL; no lock.
#pragma once

#include <pthread.h>
#include <signal.h>

namespace gilpool::core {

/// While it exists the calling thread has all signals blocked, and so has, from its first
/// instruction on, a thread that it creates: signals for the process go to the program's own
/// threads. Faults stay open: the kernel sends them to the thread that caused them, and blocked
/// they kill without the crash report that a handler would print.
class SignalsBlocked {
  public:
    SignalsBlocked() noexcept;
    ~SignalsBlocked();
    SignalsBlocked(const SignalsBlocked&) = delete;
    SignalsBlocked& operator=(const SignalsBlocked&) = delete;

    /// signals_to_hand_on() returns the mask that the calling thread had before; of a thread that
    /// was created so, and keeps all blocked, the one that its creator handed on.
    const sigset_t& signals_to_hand_on() const noexcept;

  private:
    sigset_t before_;
};

/// keep_handed_on() notes, on a thread that begins, the mask that its creator has handed on.
void keep_handed_on(const sigset_t& signals) noexcept;

/// open_signals() gives the calling thread that mask, once: for when it begins to run code of the
/// user's, which is to find what a thread of its own would find. Above all, a process that is
/// started with all signals blocked cannot be ended by any of them, nor by Ctrl-C.
void open_signals() noexcept;

/// kernel_id() returns what the kernel calls the calling thread; 0 where that is of no use.
long kernel_id() noexcept;

/// known_to_kernel() is true while the kernel counts a thread of this `id` among the process's: for
/// a few instructions after it could be joined. Who counts threads before a fork (Python 3.12+)
/// must not find it. Also true if the id has been given to another thread of this process.
bool known_to_kernel(long id) noexcept;

/// wait_until_forgotten() returns when the kernel knows a joined thread's `id` no more, or after a
/// second.
void wait_until_forgotten(long id) noexcept;

}  // namespace gilpool::core
