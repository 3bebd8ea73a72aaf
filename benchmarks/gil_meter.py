"""`gilpool.gil.Meter`: what it costs beside the same work without it, and how well it reads.

Cost: pure Python, and a loop of short system calls that let go of the GIL each time. Accuracy: a
thread that holds the GIL for a known share of its time.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from benchmarks.busy import loops_for, loops_per_ms, spin
from benchmarks.declare import Benchmark, Contestant, Group, Metric, Outcome, Size, Target

NO_METER = "no meter"
PASSIVE = "Meter(knocks=0)"
DEFAULT = "Meter()"

#: Milliseconds of work in a run: short runs and many rounds, since the wanted bound is smaller than
#: what a machine's speed varies from one second to the next.
WORK_MS = {Size.QUICK: 20, Size.DEFAULT: 40, Size.FULL: 60}

HELD_MS = (3, 5, 7)
CYCLE_MS = 10
CYCLES = 8

ERROR = Metric("error", "error of the share", digits=4)


def groups(size: Size) -> Iterator[Group]:
    """The cost beside two kinds of work, then the accuracy."""
    loops = loops_for(WORK_MS[size], loops_per_ms())
    yield _cost("pure Python", functools.partial(spin, loops))
    yield _cost("send and recv, 1 byte", functools.partial(echo, WORK_MS[size] * 500))
    yield _accuracy()


def echo(times: int) -> None:
    """System calls that take about a microsecond, each of which lets go of the GIL."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(times):
            ours.send(b"x")
            theirs.recv(1)


def _cost(title: str, work: Callable[[], None]) -> Group:
    return Group(
        title=f"the cost of a meter beside {title}",
        contestants=(
            Contestant(NO_METER, lambda: _timed(contextlib.nullcontext, work)),
            Contestant(PASSIVE, lambda: _timed(_meter(knocks=0.0), work), ours=True),
            Contestant(DEFAULT, lambda: _timed(_meter(), work), ours=True),
        ),
        peer=NO_METER,
        targets=(
            Target(PASSIVE, at_most=1.01, versus=NO_METER),
            Target(DEFAULT, at_most=1.01, versus=NO_METER),
        ),
    )


def _accuracy() -> Group:
    contestants = tuple(
        Contestant(f"{held * 100 // CYCLE_MS} % held", functools.partial(_error, held), ours=True)
        for held in HELD_MS
    )
    return Group(
        title="the error of Meter.busy_fraction, Meter(1000)",
        contestants=contestants,
        peer=contestants[0].name,
        metrics=(ERROR,),
        targets=tuple(
            Target(contestant.name, at_most=0.05, metric="error") for contestant in contestants
        ),
    )


def _meter(**options: float) -> Callable[[], AbstractContextManager[Any]]:
    def make() -> AbstractContextManager[Any]:
        from gilpool.gil import Meter

        return Meter(**options)

    return make


def _timed(meter: Callable[[], AbstractContextManager[Any]], work: Callable[[], None]) -> Outcome:
    """The wall time of the work; starting and ending the meter's threads is not part of it."""
    with meter():
        started = time.perf_counter()
        work()
        return Outcome(figures={"wall": time.perf_counter() - started})


def _error(held_ms: int) -> Outcome:
    """How far the meter's share is from the true one, by the clock around each hold."""
    import gilpool
    from gilpool.gil import Meter

    held = 0.0
    with Meter(1000, knocks=0) as meter:
        began = time.perf_counter()
        for _ in range(CYCLES):
            before = time.perf_counter()
            gilpool.sleep_gil(held_ms)
            held += time.perf_counter() - before
            gilpool.sleep_nogil(CYCLE_MS - held_ms)
        elapsed = time.perf_counter() - began
    return Outcome(figures={"error": abs(meter.busy_fraction - held / elapsed)})


BENCHMARK = Benchmark(
    "gil_meter",
    "A meter of the GIL",
    groups,
    {Size.QUICK: 9, Size.DEFAULT: 81, Size.FULL: 301},
)
