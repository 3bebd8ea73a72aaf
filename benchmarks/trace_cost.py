"""`gilpool.gil.trace`: what recording costs the tasks.

The clock runs from the first spawn to the end of the join, on a pool whose workers are warm; the
file is written after that. Short runs and many rounds, since the wanted bound is smaller than what
a machine's speed varies from one second to the next.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.busy import loops_for, loops_per_ms, spin
from benchmarks.declare import (
    WALL,
    Benchmark,
    Check,
    Contestant,
    Group,
    Metric,
    Outcome,
    Size,
    Target,
)

NO_TRACE = "no trace"
TRACED = "trace"

#: Microseconds of pure Python in a task: a small one, for who spawns 100,000 of them.
TASK_US = 50

TASKS = 500
SLEEPERS = 250

WRITING = Metric("writing", "file, us each", scale=1e6, digits=2)
BYTES = Metric("bytes", "bytes each", digits=0)
EACH = Metric("each", "us each", scale=1e6, digits=3)


def groups(_: Size) -> Iterator[Group]:
    """Tasks that compute, tasks that block, tasks that do nothing."""
    loops = loops_for(TASK_US / 1000, loops_per_ms())
    yield group(f"{TASKS:,} tasks of {TASK_US} us pure Python", TASKS, spin, loops, at_most=1.03)
    title = f"{SLEEPERS:,} tasks that block for 2 ms, then compute {TASK_US} us"
    yield group(title, SLEEPERS, block_and_compute, loops, at_most=1.03)
    yield group(f"{TASKS:,} empty tasks", TASKS, spin, 0, at_most=None)


def block_and_compute(loops: int) -> None:
    """What a task of a service does: wait for an answer, and look at it."""
    time.sleep(0.002)
    spin(loops)


def group(
    title: str, tasks: int, function: Callable[[Any], object], argument: Any, at_most: float | None
) -> Group:
    """The same tasks without a trace and with one; `at_most` bounds the ratio."""
    work = functools.partial(_run, tasks, function, argument)
    return Group(
        title=f"the cost of a trace of {title}",
        contestants=(
            Contestant(NO_TRACE, functools.partial(work, contextlib.nullcontext)),
            Contestant(TRACED, lambda: _traced(work), ours=True, checks=(_all_recorded(tasks),)),
        ),
        peer=NO_TRACE,
        metrics=(WALL, EACH, WRITING, BYTES),
        targets=() if at_most is None else (Target(TRACED, at_most=at_most, versus=NO_TRACE),),
    )


def _run(
    tasks: int,
    function: Callable[[Any], object],
    argument: Any,
    recording: Callable[[], AbstractContextManager[Any]],
) -> Outcome:
    import gilpool

    pool = gilpool.Pool()
    spawn = pool.spawn
    spawn(function, argument)
    pool.join()
    with recording() as trace:
        started = time.perf_counter()
        for _ in range(tasks):
            spawn(function, argument)
        pool.join()
        ended = time.perf_counter()
    wall = ended - started
    figures = {"wall": wall, "each": wall / tasks}
    if trace is None:
        return Outcome(figures)
    figures["writing"] = (time.perf_counter() - ended) / tasks
    figures["bytes"] = os.path.getsize(trace.path) / tasks
    return Outcome(figures, {"recorded": trace.tasks, "dropped": trace.dropped_events})


def _traced(work: Callable[[Callable[[], AbstractContextManager[Any]]], Outcome]) -> Outcome:
    from gilpool.gil import trace

    with tempfile.TemporaryDirectory(prefix="gilpool-trace-") as folder:
        return work(lambda: trace(os.fspath(Path(folder, "out.json"))))


def _all_recorded(tasks: int) -> Check:
    def test(outcome: Outcome) -> str | None:
        recorded, dropped = outcome.evidence["recorded"], outcome.evidence["dropped"]
        if recorded == tasks and dropped == 0:
            return None
        return f"{recorded} of {tasks} tasks are in the trace, {dropped} events were dropped"

    return Check("every task is in the trace, nothing was dropped", test)


BENCHMARK = Benchmark(
    "trace_cost",
    "Recording a trace",
    groups,
    {Size.QUICK: 5, Size.DEFAULT: 201, Size.FULL: 501},
)
