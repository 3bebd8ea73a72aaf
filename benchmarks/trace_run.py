"""One long run with `gilpool.gil.trace`: 100,000 tasks, what that costs, and its file.

Beside `trace_cost`, whose short rounds know the cost better; here the file is as large as such a
run makes it, and how long it takes to write is a figure of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.busy import loops_for, loops_per_ms, spin
from benchmarks.declare import Benchmark, Group, Size
from benchmarks.trace_cost import TASK_US, group

TASKS = {Size.QUICK: 5_000, Size.DEFAULT: 100_000, Size.FULL: 100_000}


def groups(size: Size) -> Iterator[Group]:
    """Tasks that compute for a little while."""
    tasks = TASKS[size]
    loops = loops_for(TASK_US / 1000, loops_per_ms())
    yield group(f"{tasks:,} tasks of {TASK_US} us pure Python", tasks, spin, loops, at_most=1.03)


BENCHMARK = Benchmark(
    "trace_run",
    "Recording a long run",
    groups,
    {Size.QUICK: 1, Size.DEFAULT: 3, Size.FULL: 9},
)
