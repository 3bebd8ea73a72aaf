"""Results as tables for people: by rich on a terminal, as aligned text elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from benchmarks.declare import Metric
from benchmarks.machine import Machine
from benchmarks.results import (
    BenchmarkResult,
    ContestantResult,
    GroupResult,
    Spread,
    Status,
    Verdict,
)


@dataclass(frozen=True)
class Table:
    """A table before it is drawn: cells are text; the first column is left-aligned."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    #: For each row: whether it is gilpool's own.
    ours: list[bool]
    #: How many columns are shown where not all fit: those without CPU and context switches.
    essential: int


def table_of(result: GroupResult) -> Table:
    """One row per contestant, in the order of declaration."""
    group = result.group
    columns = ["contestant"]
    for metric in group.metrics:
        columns.append(metric.title)
        if metric is result.metric:
            columns += ["max" if metric.higher_is_better else "min", "ratio to peer (spread)"]
            if group.ideal is not None:
                columns.append("of ideal")
    essential = len(columns)
    columns += ["cpu s", "vol. csw", "invol. csw"]
    rows = [[_label(row), *_cells(result, row, len(columns) - 1)] for row in result.contestants]
    return Table(group.title, columns, rows, [row.ours for row in result.contestants], essential)


def _label(row: ContestantResult) -> str:
    chosen = f" = {row.chosen}" if row.chosen else ""
    return f"{row.name}{chosen}" + (" (own process)" if row.isolated else "")


def _cells(result: GroupResult, row: ContestantResult, width: int) -> list[str]:
    if row.status in (Status.MISSING, Status.FAILED):
        word = "not installed" if row.status is Status.MISSING else "FAILED"
        return [word, *[""] * (width - 1)]
    cells: list[str] = []
    for metric in result.group.metrics:
        spread = row.spread(metric.name)
        cells.append(_number(spread.median if spread else None, metric))
        if metric is result.metric:
            best = spread and (spread.high if metric.higher_is_better else spread.low)
            cells.append(_number(best or None, metric))
            cells.append(_ratio(result, row))
            if result.group.ideal is not None:
                cells.append(f"{spread.median / result.group.ideal:.3f}x" if spread else "")
    for name, form in (("cpu", ".3f"), ("voluntary", ",.0f"), ("involuntary", ",.0f")):
        spread = row.spread(name)
        cells.append(f"{spread.median:{form}}" if spread else "")
    return cells


def _number(value: float | None, metric: Metric) -> str:
    return "" if value is None else f"{value * metric.scale:,.{metric.digits}f}"


def _ratio(result: GroupResult, row: ContestantResult) -> str:
    if row.status is Status.INVALID:
        return "INVALID"
    if row.name == result.group.peer:
        return "peer"
    ratio = result.ratio(row.name)
    return "" if ratio is None else times(ratio)


def times(ratio: Spread) -> str:
    """A ratio with its spread, with the digits that its size deserves: `1.003x (0.998-1.011)`."""
    digits = 3 if ratio.median >= 0.1 else 5
    low, high = (f"{value:.{digits}f}" for value in (ratio.low, ratio.high))
    return f"{ratio.median:.{digits}f}x ({low}-{high})"


def notes_of(result: GroupResult) -> Iterator[str]:
    """The lines under a table: remarks, what is missing, what failed, verdicts on targets."""
    if result.group.note:
        yield result.group.note
    for row in result.contestants:
        if row.status is Status.MISSING:
            yield f"not installed: {row.name}: {row.reason}"
        elif row.status is not Status.OK:
            yield f"{row.status.name}: {row.name}: {row.reason}"
            yield from (f"    {line}" for line in row.details.splitlines())
        elif row.reason:
            yield f"{row.name}: {row.reason}"
    for target in result.group.targets:
        verdict, figure = result.judged(target)
        found = "" if figure is None else f" (is {figure:.6g})"
        yield f"target {verdict.value}: {target.contestant}: {target.text}{found}"


def ending_of(machine: Machine, load_end: float) -> Iterator[str]:
    """The machine line and, on a busy machine, the warning."""
    yield f"{machine.line} | load average {machine.load_start:.2f} -> {load_end:.2f}"
    warning = machine.busy(load_end)
    if warning:
        yield f"note: {warning}"


def print_report(
    results: Sequence[BenchmarkResult],
    machine: Machine,
    load_end: float,
    stream: TextIO | None = None,
) -> None:
    """Prints all results; rich draws them if it is installed and the stream is a terminal."""
    out = stream or sys.stdout
    if out.isatty() and _print_rich(results, machine, load_end, out):
        return
    for result in results:
        print(f"{result.benchmark.title} [{result.size.value}]", file=out)
        for group in result.groups:
            print(f"\n{plain(table_of(group))}", file=out)
            for note in notes_of(group):
                print(f"  {note}", file=out)
        print(file=out)
    for line in ending_of(machine, load_end):
        print(line, file=out)


def plain(table: Table) -> str:
    """The table as aligned text."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]
    drawn = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([table.title, drawn[0], "-" * max(map(len, drawn)), *drawn[1:]])


def _print_rich(
    results: Sequence[BenchmarkResult], machine: Machine, load_end: float, out: TextIO
) -> bool:
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text
    except ImportError:
        return False
    console = Console(file=out, highlight=False)
    styles = {Verdict.PASS: "green", Verdict.MISS: "bold red", Verdict.OPEN: "yellow"}
    for result in results:
        console.print(Text(f"{result.benchmark.title} [{result.size.value}]", style="bold"))
        for group in result.groups:
            table = table_of(group)
            narrow = max(map(len, plain(table).splitlines())) > console.width
            shown = table.essential if narrow else len(table.columns)
            drawn = RichTable(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
            for i, column in enumerate(table.columns[:shown]):
                drawn.add_column(column, justify="left" if i == 0 else "right", no_wrap=i > 0)
            for cells, ours in zip(table.rows, table.ours, strict=True):
                drawn.add_row(*map(Text, cells[:shown]), style="bold cyan" if ours else None)
            console.print(drawn)
            for note in notes_of(group):
                style = next(
                    (s for v, s in styles.items() if note.startswith(f"target {v.value}:")), ""
                )
                if note.startswith((Status.INVALID.name, Status.FAILED.name)):
                    style = "bold red"
                console.print(Text(f"  {note}", style=style))
        console.print()
    for line in ending_of(machine, load_end):
        console.print(Text(line, style="dim"))
    return True
