"""Pure Python work of a wanted length: the same loop for every contestant of a run."""

from __future__ import annotations

import functools
import time

#: The shortest of so many trials is the machine undisturbed.
TRIALS = 15

#: Some milliseconds: a core that was idle takes longer than one trial of a single millisecond to
#: reach the speed that it keeps.
TRIAL_LOOPS = 200_000


def spin(loops: int) -> None:
    """Keeps the GIL, but for the interpreter's own switching, for `loops` turns of a loop."""
    for _ in range(loops):
        pass


@functools.cache
def loops_per_ms() -> float:
    """How many turns this machine makes in a millisecond when nothing disturbs it.

    Measured once per process, so that the work stays the same when the machine's speed does not.
    """
    shortest = min(_seconds(TRIAL_LOOPS) for _ in range(TRIALS))
    return TRIAL_LOOPS / shortest / 1e3


def loops_for(ms: float, per_ms: float) -> int:
    """Turns for that many milliseconds, at so many a millisecond."""
    return max(1, round(ms * per_ms))


def _seconds(loops: int) -> float:
    started = time.perf_counter()
    spin(loops)
    return time.perf_counter() - started
