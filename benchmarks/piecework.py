"""CPU-bound tasks made of short timed pieces, which tell how long they take when undisturbed.

The speed of a core that others share changes by half within a second, and nothing in the guest says
so. So a task computes for a given time of its thread's own CPU clock, not for a given number of
turns; and what was lost to others is judged by the pieces: most of them are not disturbed, and tell
how fast the core was at the time.
"""

from __future__ import annotations

import statistics
import threading
import time
from array import array
from collections.abc import Callable, Iterable
from typing import NamedTuple

from benchmarks.busy import loops_for, loops_per_ms, spin

#: Of a task, at least; and milliseconds of a piece, at most.
PIECES = 12
LONGEST_MS = 0.1

#: Pieces on either side with which one is compared: the speed stays for some milliseconds.
NEIGHBOURS = 15


class Done(NamedTuple):
    """A task that has ended: who ran it, and when each piece began and ended (seconds)."""

    thread: int
    times: array[float]


def task_of(length_ms: float) -> Callable[[], Done]:
    """A task that computes for so long, by the CPU clock of its thread."""
    piece_ms = min(LONGEST_MS, length_ms / PIECES)
    loops = loops_for(piece_ms, loops_per_ms())
    enough = (length_ms - piece_ms / 2) / 1e3

    def call() -> Done:
        clock, cpu, times = time.perf_counter, time.thread_time, array("d")
        begun = cpu()
        while cpu() - begun < enough:
            times.append(clock())
            spin(loops)
            times.append(clock())
        return Done(threading.get_native_id(), times)

    return call


def undisturbed_seconds(tasks: Iterable[Done]) -> float:
    """How long their pieces would have taken if each had been like those around it in time."""
    spans = sorted(
        (begin, end - begin)
        for done in tasks
        for begin, end in zip(done.times[::2], done.times[1::2], strict=True)
    )
    lengths = [length for _, length in spans]
    return sum(
        statistics.median(lengths[max(0, i - NEIGHBOURS) : i + NEIGHBOURS + 1])
        for i in range(len(lengths))
    )
