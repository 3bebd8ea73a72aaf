// Waiting for a condition that another thread will make true, with an end if it never does.
// Any thread.
#pragma once

#include <sched.h>

#include <chrono>

#include "core/clock.hpp"

namespace gilpool::testing {

/// A deadline that a working program never meets, however slow the machine.
inline core::TimePoint far_deadline() {
    return std::chrono::steady_clock::now() + std::chrono::seconds(60);
}

/// eventually() gives the CPU away until `condition()` holds; false if it does not within a minute.
template <class Condition>
bool eventually(Condition condition) {
    const core::TimePoint deadline = far_deadline();
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) {
            return false;
        }
        sched_yield();
    }
    return true;
}

}  // namespace gilpool::testing
