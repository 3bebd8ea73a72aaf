"""The results as text: columns, and the sentences around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gilpool._cli.model import RowResult
from gilpool._cli.rows import HELD_AT_LEAST, RELEASED_AT_MOST, Row, complaint

HEADINGS = ("what", "calls", "seconds", "ideal", "ratio", "GIL", "OS threads")
_RIGHT = {"seconds", "ideal", "ratio", "OS threads"}


def cells(result: RowResult) -> tuple[str, ...]:
    """One result's texts, one per heading."""
    return (
        result.row.runner,
        result.row.label,
        f"{result.seconds:.3f}",
        f"{result.row.ideal:.3f}",
        f"{result.ratio:.2f}x",
        result.verdict,
        str(result.os_threads),
    )


class Columns:
    """Lays texts out in columns whose widths are known before the first result is."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._widths = [
            max(len(row.runner) for row in rows),
            max(len(row.label) for row in rows),
            max(len("seconds"), *(len(f"{row.threads * row.ideal:.3f}") for row in rows)),
            max(len("ideal"), *(len(f"{row.ideal:.3f}") for row in rows)),
            max(len("ratio"), *(len(f"{row.threads:.2f}x") for row in rows)),
            len("released"),
            len("OS threads"),
        ]

    def padded(self, texts: Sequence[str]) -> list[str]:
        """Brings each text to its column's width."""
        return [
            text.rjust(width) if heading in _RIGHT else text.ljust(width)
            for heading, text, width in zip(HEADINGS, texts, self._widths, strict=True)
        ]

    def line(self, texts: Sequence[str]) -> str:
        """One line of the table."""
        return "  ".join(self.padded(texts)).rstrip()


def machine_line(machine: Mapping[str, Any]) -> str:
    """The interpreter and the machine in one line."""
    cores = machine["cores"]
    return (
        f"gilpool {machine['gilpool']}, {machine['implementation']} {machine['python']}, "
        f"{'with' if machine['gil_enabled'] else 'without'} the GIL, "
        f"{cores} core{'s' if cores != 1 else ''}, {machine['platform']}"
    )


def complaints(results: Sequence[RowResult], *, gil_enabled: bool) -> list[str]:
    """What is wrong with these results; empty when all is as it must be."""
    found = (
        complaint(result.row, result.ratio, result.verdict, gil_enabled=gil_enabled)
        for result in results
    )
    return [sentence for sentence in found if sentence is not None]


def conclusion(results: Sequence[RowResult], *, gil_enabled: bool) -> str:
    """What the numbers mean, for results without a complaint."""
    if not gil_enabled:
        slowest = max(result.ratio for result in results)
        return (
            "This interpreter runs without the GIL: what a call keeps, nobody else needs.\n"
            f"So all calls must overlap: {slowest:.2f}x one call at most "
            f"({results[0].row.released_at_most:.1f}x is allowed)."
        )
    released = [result.ratio for result in results if result.row.expected == "released"]
    computing = results[0].row.kernel is not None
    if computing:
        overlap = (
            f"Calls that release the GIL share the cores: {max(released):.2f}x one call at most "
            f"({results[0].row.least_ratio:.2f}x is the least that these cores allow, "
            f"{results[0].row.released_at_most:.2f}x is allowed)."
        )
    else:
        overlap = (
            f"Calls that release the GIL overlap: {max(released):.2f}x one call at most "
            f"({RELEASED_AT_MOST:.1f}x is allowed)."
        )
    held = [result for result in results if result.row.expected == "held"]
    fastest = min(held, key=lambda result: result.ratio)
    return (
        f"{overlap}\n"
        f"Calls that hold it run one after the other: {fastest.ratio:.2f}x at least "
        f"({HELD_AT_LEAST * fastest.row.threads:.1f}x is required)."
    )
