// bindings/reactor_work.cpp: from the reactor's batches to the list of what is over.
#include "bindings/reactor_work.hpp"

namespace gilpool::bindings {

namespace {

NativeWork* work_of(core::TimedWait* wait) {
    if (wait->on_descriptor()) {
        return static_cast<DescriptorWork*>(static_cast<core::FdWait*>(wait));
    }
    return static_cast<TimerWork*>(wait);
}

/// Runs on the reactor's thread, without the GIL.
void on_batch(core::TimedWait* first, void*) noexcept {
    if (first->result() == core::WaitEnd::broken) {
        return;  // a forked child: its tasks fail there, what they waited for is the parent's
    }
    NativeWork* const earliest = work_of(first);
    NativeWork* latest = earliest;
    for (core::TimedWait* wait = first->next(); wait != nullptr; wait = wait->next()) {
        NativeWork* const work = work_of(wait);
        work->next_over = latest;
        latest = work;
    }
    hand_over(latest, earliest);
}

}  // namespace

core::ReactorClient native_work_client() {
    static const core::ReactorClient client =
        core::Reactor::process().add_client(&on_batch, nullptr);
    return client;
}

}  // namespace gilpool::bindings
