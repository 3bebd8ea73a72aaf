"""The experiment as an assertion: do calls on several threads run side by side, or one by one?

What can be proved is not timed: a call that holds the GIL cannot overlap with itself. Only a call
that waits is judged by time, since many waits fit on one core; how threads share two busy cores
says nothing about the GIL, so for calls that compute the witness's figures decide.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_gilpool._errors import GilAssertionError

if TYPE_CHECKING:
    from gilpool.gil import GilReport

PARALLEL_AT_MOST = 1.5
"""Calls that overlap take at most this many times one call, thread starts and noise included."""
SERIALIZED_AT_LEAST = 0.9
"""Calls that do not overlap take at least this share of their number times one call."""
TRIES = 3
"""A busy machine makes a timing wrong now and then, so one good try out of these is enough."""
_BATCH_SECONDS = 0.1
"""Short calls are repeated until a batch lasts so long, which makes the start of threads small."""
_WAITS_BELOW = 0.2
"""A call whose thread computes for less than this share of its time waits."""
_CORES_SHARE = 0.5
"""And all threads together must not need more than this share of the cores, to be timed."""


@dataclass(frozen=True)
class Overlap:
    """What an assertion on several threads found."""

    threads: int
    """How many threads made the call."""
    timed: bool
    """Whether time decided; else it was the witness's report."""
    ratio: float | None
    """Seconds of all threads together / seconds of one alone; None if nothing was timed."""
    report: GilReport
    """The witness's report of one call."""
    tries: int = 0
    """How many timings were made."""

    def __str__(self) -> str:
        if self.ratio is None:
            return f"{self.threads} threads, not timed"
        tries = "" if self.tries == 1 else f" at try {self.tries}"
        return f"{self.threads} threads {self.ratio:.2f}x one{tries}"


class OverlapError(GilAssertionError):
    """The calls did not run as asserted; `overlap` is what was found."""

    __module__ = "pytest_gilpool"

    def __init__(self, message: str, overlap: Overlap) -> None:
        super().__init__(message, overlap.report)
        self.overlap = overlap


class UnknownOverlapError(Exception):
    """Neither the witness nor a timing can tell; `report` says why."""

    def __init__(self, report: GilReport) -> None:
        super().__init__(str(report.reason))
        self.report = report


def check_threads(threads: object) -> int:
    """Refuses what is no number of threads.

    Raises:
        TypeError: Not an integer.
        ValueError: Less than 2.
    """
    if not isinstance(threads, int) or isinstance(threads, bool):
        raise TypeError(f"threads must be an int, not {type(threads).__name__}")
    if threads < 2:
        raise ValueError(f"threads must be at least 2, not {threads}")
    return threads


def parallel(call: Callable[[], object], report: GilReport, threads: int) -> Overlap:
    """Asserts that `threads` threads making the call take about as long as one.

    Raises:
        OverlapError: They do not.
        UnknownOverlapError: The call computes, and its report is inconclusive.
    """
    __tracebackhide__ = True
    proved = Overlap(threads, timed=False, ratio=None, report=report)
    if report.verdict == "holds":
        raise OverlapError(
            f"{report.name} holds the GIL, so {threads} threads make the call one after the "
            f"other\n{report}",
            proved,
        )
    batch = Batch(call, report.wall)
    if batch.computes(threads):
        if report.verdict != "releases" or report.released is None:
            raise UnknownOverlapError(report)
        # The parts that hold the GIL queue up; they must fit into the time of one call.
        needed = 1 - 1 / threads
        if report.released < needed:
            raise OverlapError(
                f"{report.name} computes, and {threads} threads run it side by side only if it is "
                f"off the GIL for {needed:.0%} of its time; it was for {report.released:.0%}\n"
                f"{report}",
                proved,
            )
        return proved
    return _timed(
        batch,
        report,
        threads,
        limit=f"at most {PARALLEL_AT_MOST:.2f}x",
        ratio=lambda together, alone: together / max(alone),
        passes=lambda ratio: ratio <= PARALLEL_AT_MOST,
        complaint="do not run side by side",
    )


def serialized(call: Callable[[], object], report: GilReport, threads: int) -> Overlap:
    """Asserts that `threads` threads making the call take as long as that many calls in a row.

    Raises:
        OverlapError: They do not.
        UnknownOverlapError: The call computes, and its report is inconclusive.
    """
    __tracebackhide__ = True
    proved = Overlap(threads, timed=False, ratio=None, report=report)
    if report.verdict == "holds":
        return proved
    batch = Batch(call, report.wall)
    if batch.computes(threads):
        if report.verdict != "releases":
            raise UnknownOverlapError(report)
        raise OverlapError(
            f"{report.name} releases the GIL, so {threads} threads can run it side by side\n"
            f"{report}",
            proved,
        )
    at_least = SERIALIZED_AT_LEAST * threads
    return _timed(
        batch,
        report,
        threads,
        limit=f"at least {at_least:.2f}x",
        ratio=lambda together, alone: together / min(alone),
        passes=lambda ratio: ratio >= at_least,
        complaint="do not run one after the other",
    )


def _timed(
    batch: Batch,
    report: GilReport,
    threads: int,
    *,
    limit: str,
    ratio: Callable[[float, tuple[float, float]], float],
    passes: Callable[[float], bool],
    complaint: str,
) -> Overlap:
    """Times the threads between two controls, one thread alone; prints every try."""
    __tracebackhide__ = True
    lines = []
    found = math.nan
    for number in range(1, TRIES + 1):
        before = batch.run(1)
        together = batch.run(threads)
        after = batch.run(1)
        found = ratio(together, (before, after))
        lines.append(
            f"try {number} of {TRIES}: {threads} threads {together:.4f} s, one alone {before:.4f} "
            f"and {after:.4f} s: {found:.2f}x ({limit} wanted)"
        )
        print(f"{report.name}: {lines[-1]}")
        if passes(found):
            return Overlap(threads, True, found, report, number)
    raise OverlapError(
        "\n".join([f"{threads} threads calling {report.name} {complaint}", *lines, str(report)]),
        Overlap(threads, True, found, report, TRIES),
    )


class Batch:
    """A call, repeated until it lasts long enough to be timed, on as many threads as asked for.

    *Thread safety:* used by one thread; the call itself runs on threads made for it.
    """

    def __init__(self, call: Callable[[], object], seconds: float) -> None:
        self._call = call
        self._repeats = max(1, math.ceil(_BATCH_SECONDS / seconds)) if seconds > 0 else 1
        self._computing = 1.0
        """The share of the time without want of a processor in which one thread computed."""

    def computes(self, threads: int) -> bool:
        """Whether so many threads would compete for processors instead of waiting side by side."""
        self.run(1)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        return self._computing > min(_WAITS_BELOW, _CORES_SHARE * cores / threads)

    def run(self, threads: int) -> float:
        """Seconds from the moment when all threads are ready until the last has made its calls.

        Raises:
            BaseException: What the call raised first, on whichever thread.
        """
        begin = math.nan
        ends: list[float] = []
        errors: list[BaseException] = []

        def stamp() -> None:
            nonlocal begin
            begin = time.monotonic()

        gate = threading.Barrier(threads, action=stamp)

        def work() -> None:
            try:
                gate.wait()
                computed, starved, since = time.thread_time(), _starved(), time.monotonic()
                for _ in range(self._repeats):
                    self._call()
                ends.append(time.monotonic())
                if threads == 1:
                    # Else a call that waits looks busy on an overloaded machine, which lets it
                    # wait once more after each wait, and a call that computes looks idle.
                    free = ends[-1] - since - (_starved() - starved)
                    self._computing = (time.thread_time() - computed) / max(free, 1e-9)
            except BaseException as error:
                errors.append(error)

        # Daemons: if the caller is interrupted, a call that never ends does not keep the process.
        workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
        try:
            for worker in workers:
                worker.start()
        except BaseException:
            gate.abort()
            raise
        for worker in workers:
            worker.join()
        if errors:
            raise errors[0]
        return max(ends) - begin


def _starved() -> float:
    """Seconds that this thread has been ready to run and had no processor; 0 where nobody tells."""
    try:
        with open("/proc/thread-self/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
