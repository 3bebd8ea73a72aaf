// bindings/departure.cpp: the line of workers that end.
#include "bindings/departure.hpp"

#include <mutex>
#include <new>

#include "core/clock.hpp"
#include "core/parker.hpp"
#include "core/tiny_lock.hpp"

namespace gilpool::bindings {

namespace {

/// As many at a time: one has the GIL while the others wake up for it.
constexpr int kAtATime = 3;

struct Leaver {
    core::Parker parker;
    Leaver* next = nullptr;
};

/// Invariant: while anybody stands in line, kAtATime others have their turn.
struct Line {
    core::TinyLock lock;
    int having_turn = 0;
    Leaver* first = nullptr;  ///< on the stacks of those who wait
};

constinit Line g_line;

}  // namespace

Departure::Departure() {
    Leaver me;
    {
        const std::lock_guard guard(g_line.lock);
        if (g_line.having_turn < kAtATime) {
            ++g_line.having_turn;
            return;
        }
        me.next = g_line.first;
        g_line.first = &me;
    }
    while (me.parker.park_until(core::kNever) != core::ParkResult::unparked) {
    }
}

Departure::~Departure() {
    Leaver* next = nullptr;
    {
        const std::lock_guard guard(g_line.lock);
        next = g_line.first;
        if (next != nullptr) {
            g_line.first = next->next;
        } else {
            --g_line.having_turn;
        }
    }
    if (next != nullptr) {
        next->parker.unpark();
    }
}

void forget_departures() {
    new (&g_line) Line;
}

}  // namespace gilpool::bindings
