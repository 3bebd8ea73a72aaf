// bindings/kernel_work.hpp: one call of a kernel: its arguments, converted and held, the run
// without the GIL, and the result. Made, asked and destroyed with the GIL held; `run` and what the
// core calls need none.
//
// Buffers stay exported from the conversion to the destruction, so their memory stays where it is
// and exporters that could move it (bytearray, array) refuse to.
#pragma once

#include <Python.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "bindings/native_work.hpp"
#include "bindings/trace_native.hpp"
#include "bindings/wakeups.hpp"
#include "core/pool.hpp"
#include "core/task.hpp"
#include "kernels/stop.hpp"

namespace gilpool::bindings {

class Ultimatum;

class KernelWork : public NativeWork, private core::Task {
  public:
    explicit KernelWork(core::Lane lane);
    ~KernelWork() override;

    /// The work itself, once, on any thread, with or without the GIL.
    virtual void run(kernels::Stop stop) noexcept = 0;

    /// The same on the calling thread alone: what a call that keeps the GIL does.
    virtual void run_alone() noexcept { run(kernels::Stop()); }

    /// What the call returns, or null with its exception set; after run. `keep_gil`: it is a call
    /// that holds the GIL throughout, so that not even a long copy may let it go.
    virtual PyObject* result(bool keep_gil) = 0;

    /// How many bytes the call is about; what decides whether letting the GIL go is worth it.
    virtual std::size_t bytes() const = 0;

    /// Whom to tell how far a batch is, or null; borrowed.
    virtual PyObject* progress_callback() const { return nullptr; }
    virtual std::size_t items() const { return 0; }
    virtual std::size_t items_finished() const { return 0; }

    // As the work of a task:
    Start start(bool measured) override;
    bool end() override;
    void limit_time() override;
    bool is_queued() const override { return state() == core::TaskState::queued; }
    void deliver() override;

    // As a call whose thread waits for it. The caller makes sure that the work outlives it, or
    // calls abandon().

    /// Sends it to its lane; `waiter` is told when it is over. `at_once`: it gets a thread in any
    /// case and does not queue for a core. False if no lane takes it.
    bool send(core::Waiter& waiter, bool at_once);

    /// No more notifications to `waiter` after this.
    void forget(core::Waiter& waiter) { remove_waiter(waiter); }

    void ask_to_stop() { stop_.store(true, std::memory_order_relaxed); }
    bool is_over() const { return finished(); }

    /// True: nobody touches it any more, the caller destroys it. False: it destroys itself when it
    /// is over.
    bool abandon();

  private:
    friend class Ultimatum;

    /// Tells the list of what is over.
    class HandOver final : public core::Waiter {
      public:
        explicit HandOver(KernelWork& work) : core::Waiter(&HandOver::on_notify), work_(work) {}

      private:
        static void on_notify(core::Waiter& waiter) noexcept;
        KernelWork& work_;
    };

    static void on_lane(core::Task& self);
    void keep_times();

    std::atomic<bool> stop_{false};
    const core::Lane lane_;
    bool measured_ = false;
    TraceTicket trace_;
    HandOver hand_over_{*this};
    Ultimatum* ultimatum_ = nullptr;  ///< GIL
    core::TimePoint begin_{};
    core::TimePoint over_{};
    std::int64_t cpu_ns_ = 0;
};

}  // namespace gilpool::bindings
