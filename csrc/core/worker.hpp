// One thread of a pool, as the pool sees it.
// Fields are the thread's own unless they say otherwise.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <cstdint>

#include "core/cpu_token.hpp"
#include "core/job_queue.hpp"
#include "core/parker.hpp"
#include "core/pool.hpp"
#include "core/spin.hpp"

namespace gilpool::core {

struct Worker {
    /// Where the thread is in its life; changed under the pool's lock, by whoever moves it on.
    enum class Phase : std::uint8_t {
        on_the_way,  // being created, woken or searching: counted as help that will look for work
        running,     // in a job
        idle,        // parked, in the idle stack
        retiring,    // on its way out; counts neither as a thread nor as help
    };

    explicit Worker(void* owner) noexcept : pool(owner) {}

    void* const pool;  // the Pool::Impl that made it
    Parker parker;
    Phase phase = Phase::on_the_way;
    CpuToken* token = nullptr;   // held; pool's lock to change, own thread to read
    Lane lane = Lane::cpu;       // of the running job
    bool lent_token = false;     // the outermost blocking region gave one away
    std::uint32_t regions = 0;   // blocking regions the job is in
    Job job;                     // running, or with a null function
    std::uint64_t executed = 0;  // not yet added to the pool's total
    SpinGuess spin_guess;        // how it went when it ran out of work
    bool searching = false;      // counted among those who search
    bool in_stream = false;      // the last jobs came faster than it ran them
    int called_on = -1;          // the core of who woke it; published by the permit

    /// In the child of a fork that the running job called: this thread belongs to no pool any more.
    bool orphaned = false;
    /// Pool's lock: a shutdown gave up on this thread; it ends without touching anything shared.
    bool abandoned = false;
    /// Pool's lock: counted as blocked.
    bool in_region = false;
    /// Pool's lock: `handle` is valid.
    bool started = false;
    pthread_t handle{};
    sigset_t signals{};   // of its creator; see open_signals()
    long id = 0;          // the kernel's; set when it leaves
    bool joined = false;  // it has left, and `handle` is no longer valid

    // Pool's lock: neighbours in the idle stack (the top is the last that parked), and among all
    // workers.
    Worker* idle_below = nullptr;
    Worker* idle_above = nullptr;
    Worker* next = nullptr;
    Worker* previous = nullptr;

    /// current() returns the worker that the calling thread is, or null.
    static Worker* current() noexcept { return current_; }
    static void set_current(Worker* worker) noexcept { current_ = worker; }

  private:
    static thread_local Worker* current_;
};

}  // namespace gilpool::core
