// bindings/departure.hpp: workers that end take their turns at the GIL. Called without the GIL; one
// tiny lock, held for a few instructions, guards the line.
//
// Ten thousand idle workers may end at one time: at exit, before a fork, ten seconds after a burst.
// Each of them needs the GIL for its last steps, and each thread that waits for the GIL wakes up
// every 5 ms to ask for it: so many of them take all the cores, and the one that has the GIL gets
// nowhere (a minute was seen).
#pragma once

namespace gilpool::bindings {

/// A worker's turn to take the GIL for the last time: the constructor waits for it.
class Departure {
  public:
    Departure();
    /// Lets the next one have its turn; also when the thread is unwound out of a dying interpreter.
    ~Departure();
    Departure(const Departure&) = delete;
    Departure& operator=(const Departure&) = delete;
};

/// In a forked child: who stood in line does not exist here.
void forget_departures();

}  // namespace gilpool::bindings
