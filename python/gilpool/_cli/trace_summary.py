"""What a trace says in one screen: a line per callable, as text, table or JSON."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any

from gilpool._cli.trace_read import TaskSlice, TraceFile

_MOST_LINES = 12
_HEADINGS = ("callable", "tasks", "total", "median", "queued", "waited", "held", "released", "cpu")
_MEANING = (
    "median: of one task, from the moment a worker turned to it; queued: median before that; "
    "waited: for the GIL;\nheld, released: shares of the time the GIL was seen in; cpu: share "
    "of the total"
)


@dataclass(frozen=True)
class Line:
    """All tasks of one callable; seconds."""

    name: str
    tasks: int
    total: float
    median: float
    queued: float | None
    gil_wait: float
    held: float | None
    released: float | None
    """Of the tasks of which it is known; so is `held`."""
    cpu: float | None
    """Of the tasks whose CPU time was measured."""
    cpu_share: float | None
    outcomes: dict[str, int]


def lines(trace: TraceFile) -> list[Line]:
    """A line per callable, the one that took most time first."""
    by_name: dict[str, list[TaskSlice]] = {}
    for task in trace.tasks + trace.waits:
        by_name.setdefault(task.name, []).append(task)
    return sorted(
        (_line(name, tasks) for name, tasks in by_name.items()),
        key=lambda line: line.total,
        reverse=True,
    )


def _line(name: str, tasks: list[TaskSlice]) -> Line:
    lengths = [task.end - task.begin for task in tasks]
    queued = [task.queued for task in tasks if task.queued is not None]
    measured = [task for task in tasks if task.cpu is not None]
    cpu = _sum(task.cpu for task in tasks)
    return Line(
        name=name,
        tasks=len(tasks),
        total=sum(lengths),
        median=statistics.median(lengths),
        queued=statistics.median(queued) if queued else None,
        gil_wait=_sum(task.gil_wait for task in tasks) or 0.0,
        held=_sum(task.held for task in tasks),
        released=_sum(task.released for task in tasks),
        cpu=cpu,
        cpu_share=_share(cpu, sum(task.end - task.begin for task in measured)),
        outcomes=dict(Counter(task.outcome for task in tasks)),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _share(part: float | None, whole: float) -> float | None:
    return None if part is None or whole <= 0 else part / whole


def to_dict(trace: TraceFile, path: str, exit_code: int | None) -> dict[str, Any]:
    """The `--json` object."""
    return {
        "trace": path,
        "exit_code": exit_code,
        "seconds": trace.seconds,
        "tasks": len(trace.tasks),
        "waits": len(trace.waits),
        "workers": len(trace.lanes),
        "dropped_events": trace.dropped,
        "most_queued": _most(trace, "queue depth"),
        "most_busy": _most(trace, "busy"),
        "callables": [
            {
                "name": line.name,
                "tasks": line.tasks,
                "outcomes": line.outcomes,
                "total_s": line.total,
                "median_s": line.median,
                "queued_median_s": line.queued,
                "gil_wait_s": line.gil_wait,
                "held_s": line.held,
                "released_s": line.released,
                "cpu_s": line.cpu,
            }
            for line in lines(trace)
        ],
    }


def _most(trace: TraceFile, counter: str) -> int:
    return int(max((value for _, value in trace.counters.get(counter, ())), default=0))


def show(trace: TraceFile, path: str, stream: IO[str]) -> None:
    """Prints the summary; with rich, on a terminal, as a table."""
    found = lines(trace)
    print(_sentence(trace), file=stream)
    if found:
        rows = [_cells(line) for line in found[:_MOST_LINES]]
        if not (stream.isatty() and _show_table(rows, stream)):
            _show_columns(rows, stream)
        if len(found) > _MOST_LINES:
            print(f"... and {len(found) - _MOST_LINES} more callables", file=stream)
        print(_MEANING, file=stream)
    if trace.dropped:
        print(f"{trace.dropped:,} events did not fit and are missing.", file=stream)
    print(f"The trace is in {path}; open it in https://ui.perfetto.dev", file=stream)


def _sentence(trace: TraceFile) -> str:
    tasks = trace.tasks
    outcomes = Counter(task.outcome for task in tasks + trace.waits)
    waits = f" and {len(trace.waits):,} waits without a thread" if trace.waits else ""
    odd = [
        f"{count:,} {name}" for name, count in outcomes.items() if name not in ("returned", "ran")
    ]
    return (
        f"{len(tasks):,} tasks on {len(trace.lanes)} workers{waits} in {_time(trace.seconds)}"
        f"{' (' + ', '.join(odd) + ')' if odd else ''}; at most {_most(trace, 'busy'):,} at once, "
        f"{_most(trace, 'queue depth'):,} queued"
    )


def _cells(line: Line) -> tuple[str, ...]:
    name = line.name if len(line.name) <= 32 else f"...{line.name[-29:]}"
    seen = (line.held or 0) + (line.released or 0)
    return (
        name,
        f"{line.tasks:,}",
        _time(line.total),
        _time(line.median),
        _time(line.queued),
        _time(line.gil_wait),
        _percent(_share(line.held, seen)),
        _percent(_share(line.released, seen)),
        _percent(line.cpu_share),
    )


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds:,.0f} s"
    return f"{seconds * 1e6:.3g} us"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _show_columns(rows: list[tuple[str, ...]], stream: IO[str]) -> None:
    table = [_HEADINGS, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEADINGS))]
    for row in table:
        first = row[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join((first, *rest)).rstrip(), file=stream)


def _show_table(rows: list[tuple[str, ...]], stream: IO[str]) -> bool:
    """False if there is no rich."""
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        return False
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    Console(file=stream).print(table)
    return True
