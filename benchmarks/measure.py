"""One run of one contestant: wall time, process CPU and context switches.

`measure` may be called by one thread at a time: CPU and switches are the whole process's, native
threads included.
"""

from __future__ import annotations

import math
import resource
import time
from dataclasses import dataclass
from typing import Protocol

from benchmarks.declare import Outcome, Work


@dataclass(frozen=True)
class Usage:
    """What the process has used so far."""

    user_s: float
    system_s: float
    voluntary: int
    involuntary: int


class Clock(Protocol):
    """Where time and usage come from; tests put a clock of their own in its place."""

    def now_ns(self) -> int:
        """Nanoseconds on a clock that never goes back."""

    def usage(self) -> Usage:
        """What this process has used so far."""


class SystemClock:
    """The machine's own clocks."""

    def now_ns(self) -> int:
        return time.perf_counter_ns()

    def usage(self) -> Usage:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return Usage(used.ru_utime, used.ru_stime, used.ru_nvcsw, used.ru_nivcsw)


@dataclass(frozen=True)
class Measurement:
    """One run: its figures by name, and what it reported for the checks."""

    figures: dict[str, float]
    outcome: Outcome


def measure(work: Work, clock: Clock) -> Measurement:
    """Runs the work once and measures it.

    Raises:
        ValueError: The work reported a figure that is no number.
    """
    before = clock.usage()
    started = clock.now_ns()
    reported = work()
    ended = clock.now_ns()
    after = clock.usage()
    outcome = reported if reported is not None else Outcome()
    figures = {
        "wall": (ended - started) / 1e9,
        "user": after.user_s - before.user_s,
        "system": after.system_s - before.system_s,
        "cpu": after.user_s - before.user_s + after.system_s - before.system_s,
        "voluntary": float(after.voluntary - before.voluntary),
        "involuntary": float(after.involuntary - before.involuntary),
    }
    for name, value in outcome.figures.items():
        if not math.isfinite(value):
            raise ValueError(f"the figure {name!r} is {value}")
        figures[name] = float(value)
    return Measurement(figures, Outcome(dict(figures), outcome.evidence))
