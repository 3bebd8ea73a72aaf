"""What is kept of each verdict: it travels on the test's report, and the summary lists it.

A report is the one thing that pytest-xdist carries from a worker to the controller, so the verdicts
ride on it as plain dicts of str, float and None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gilpool.gil import GilReport

_ATTRIBUTE = "gil_verdicts"
_MARKUP = {
    "releases": {"cyan": True},
    "holds": {"purple": True},
    "inconclusive": {"yellow": True},
    "no GIL": {"yellow": True},
}
_CALL_WIDTH = 40
"""The column of calls is no wider; a longer name moves what follows it."""
NO_GIL = "no GIL"
"""The verdict where the interpreter runs without the GIL: nothing can hold or release it."""


@dataclass(frozen=True)
class Verdict:
    """One line of the summary."""

    call: str
    """The callable's name."""
    verdict: str
    """"releases", "holds", "inconclusive" or `NO_GIL`."""
    released: float | None = None
    """Fraction of its time that the call was off the GIL."""
    wall: float | None = None
    """Seconds of one call."""
    note: str = ""
    """What an assertion found besides."""
    failed: bool = False
    """Whether the assertion failed."""

    @classmethod
    def of_report(cls, report: GilReport, note: str = "", *, failed: bool = False) -> Verdict:
        """The verdict that a `gilpool.gil.GilReport` tells."""
        if report.verdict == "inconclusive" and not note:
            note = report.reason
        name = short_name(report.name)
        return cls(name, report.verdict, report.released, report.wall, note, failed)


def short_name(name: str) -> str:
    """The name without the functions that it is nested in."""
    return name.rpartition("<locals>.")[2]


class Notebook:
    """The verdicts of one test, until its report takes them along."""

    key = pytest.StashKey["Notebook"]()

    def __init__(self) -> None:
        self._verdicts: list[Verdict] = []

    @classmethod
    def of(cls, item: pytest.Item) -> Notebook:
        """The notebook of this test."""
        return item.stash.setdefault(cls.key, cls())

    def add(self, verdict: Verdict) -> None:
        self._verdicts.append(verdict)

    def move_to(self, report: pytest.TestReport) -> None:
        """Hands what was noted to the report of the phase that just ended."""
        if self._verdicts:
            setattr(report, _ATTRIBUTE, [asdict(verdict) for verdict in self._verdicts])
            self._verdicts.clear()


class Summary:
    """Collects verdicts from reports, on whatever side of xdist they arrive, and lists them."""

    def __init__(self) -> None:
        self._found: list[tuple[str, Verdict]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for fields in getattr(report, _ATTRIBUTE, ()):
            self._found.append((report.nodeid, Verdict(**fields)))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._found:
            return
        terminalreporter.section("GIL verdicts")
        verdicts = [verdict for _, verdict in self._found]
        verdict_width = max(len(verdict.verdict) for verdict in verdicts)
        call_width = min(_CALL_WIDTH, max(len(verdict.call) for verdict in verdicts))
        for nodeid, verdict in self._found:
            terminalreporter.write(
                verdict.verdict.ljust(verdict_width), **_MARKUP.get(verdict.verdict, {})
            )
            figures = f"  {_fraction(verdict.released)}  {_duration(verdict.wall)}"
            terminalreporter.write(f"{figures}  {verdict.call:<{call_width}}  {nodeid}")
            if verdict.failed:
                terminalreporter.write("  FAILED", red=True, bold=True)
            if verdict.note:
                terminalreporter.write(f"  ({verdict.note})")
            terminalreporter.line("")
        for line in _explanations(verdicts):
            terminalreporter.line(line)


def _explanations(verdicts: list[Verdict]) -> Iterator[str]:
    if any(verdict.released is not None for verdict in verdicts):
        yield "(verdict, share of its time that the call was off the GIL, time of one call)"
    if any(verdict.verdict == NO_GIL for verdict in verdicts):
        yield (
            "This interpreter runs without the GIL, so these verdicts are vacuous: run the tests "
            "on a build with the GIL too."
        )


def _fraction(released: float | None) -> str:
    return "     " if released is None else f"{100 * released:3.0f} %"


def _duration(seconds: float | None) -> str:
    """A duration in nine characters, in the unit that suits it."""
    if seconds is None:
        return " " * 9
    for unit, size in (("s ", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:6.4g} {unit}"
    return f"{seconds / 1e-9:6.4g} ns"
