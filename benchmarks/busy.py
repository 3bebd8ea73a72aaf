"""Pure Python work of a wanted length: the same loop for every contestant of a run."""

from __future__ import annotations

import functools
import statistics
import time
from itertools import repeat

#: Their median is how fast the loop is on this machine as a rule.
TRIALS = 15

#: Some milliseconds: a core that was idle takes longer than one trial of a single millisecond to
#: reach the speed that it keeps.
TRIAL_LOOPS = 500_000


def spin(loops: int) -> None:
    """Keeps the GIL, but for the interpreter's own switching, for `loops` turns of a loop.

    Over `repeat`, not `range`: a turn that makes an integer costs 12 or 20 ns, depending on how
    full the allocator's page happens to be, and so differs from thread to thread.
    """
    for _ in repeat(None, loops):
        pass


def compute(seconds: float, loops: int) -> None:
    """Spins for so long by the CPU clock of the thread, which it reads every `loops` turns.

    The speed of a core that others share changes by half within a second, and with it how long a
    given number of turns takes.
    """
    begun = time.thread_time()
    while time.thread_time() - begun < seconds:
        spin(loops)


@functools.cache
def loops_per_ms() -> float:
    """How many turns this machine makes in a millisecond as a rule.

    Measured once per process, so that the work stays the same when the machine's speed does not.
    """
    typical = statistics.median(_seconds(TRIAL_LOOPS) for _ in range(TRIALS))
    return TRIAL_LOOPS / typical / 1e3


def loops_for(ms: float, per_ms: float) -> int:
    """Turns for that many milliseconds, at so many a millisecond."""
    return max(1, round(ms * per_ms))


def _seconds(loops: int) -> float:
    started = time.perf_counter()
    spin(loops)
    return time.perf_counter() - started
