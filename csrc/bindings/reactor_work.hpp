// bindings/reactor_work.hpp: native work that is nothing but a wait: for a deadline, or for a
// descriptor. It needs no thread of its own; what ends in one round of the reactor is handed over
// as one chain. GIL held, except where the reactor's thread comes in.
#pragma once

#include "bindings/native_work.hpp"
#include "core/clock.hpp"
#include "core/reactor.hpp"

namespace gilpool::bindings {

/// Whose batch function hands native work over.
core::ReactorClient native_work_client();

/// Ends when its deadline has come.
class TimerWork : public NativeWork, public core::TimedWait {
  public:
    TimerWork() : core::TimedWait(native_work_client()) {}

    /// False if the reactor cannot take it.
    bool arm(core::TimePoint deadline) {
        return core::Reactor::process().arm(*this, deadline) == core::ArmResult::armed;
    }

    Start start(bool) override { return Start::failed; }
    bool end() override { return core::Reactor::process().try_cancel(*this); }
    bool is_wait() const override { return true; }
};

/// Ends when its descriptor is ready, or its deadline has come.
class DescriptorWork : public NativeWork, public core::FdWait {
  public:
    DescriptorWork(int fd, core::Direction direction)
        : core::FdWait(native_work_client(), fd, direction) {}

    bool end() override { return core::Reactor::process().try_cancel(*this); }
    bool is_wait() const override { return true; }
};

}  // namespace gilpool::bindings
