"""The outcomes as text: a line per call as soon as it is there, and the progress on the way.

No thread draws: it would be one more contender for the GIL that is being measured.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import IO, Any

from gilpool._cli.check_result import Result
from gilpool._cli.terminal import is_capable_terminal
from gilpool.gil._report import count, duration

_STYLES = {
    "releases": "dodger_blue1",
    "holds": "dark_orange",
    "inconclusive": "yellow",
    "not here": "bright_black",
}
_HEADING = ("GIL", "released", "one call", "longest hold", "call")
_WIDTHS = tuple(map(len, ("inconclusive", "released", "one call", "longest hold")))
_CLEAR = "\r\x1b[K"


class Table:
    """Writes the lines; on a terminal also what is being measured, for as long as it is.

    *Thread safety:* for one thread.
    """

    def __init__(self, rows: IO[str] | None) -> None:
        """`rows` takes the lines; None: only the progress is shown."""
        self._rows = rows
        self._console = _console(rows) if rows is not None else None
        terminals = (stream for stream in (rows, sys.stderr) if stream is not None)
        self._status = next(filter(is_capable_terminal, terminals), None)

    def begin(self, machine: str) -> None:
        """Writes the head of the table."""
        if self._rows is not None:
            print(machine, _line(_HEADING), sep="\n", file=self._rows, flush=True)

    def measuring(self, label: str, number: int, total: int) -> None:
        """Shows what is being measured, where it can be taken back."""
        if self._status is not None:
            self._status.write(f"{_CLEAR}{number} of {total}: {label} ...")
            self._status.flush()

    def measured(self, result: Result) -> None:
        """Takes the progress back and writes the line of what was measured."""
        self.stop()
        if self._rows is None:
            return
        line = _line(_cells(result))
        if self._console is None:
            print(line, file=self._rows, flush=True)
        else:
            width = _WIDTHS[0]
            text = _styled(line[:width], _STYLES[result.verdict]).append(line[width:])
            self._console.print(text, soft_wrap=True)

    def stop(self) -> None:
        """Leaves the terminal without a line half written."""
        if self._status is not None:
            self._status.write(_CLEAR)
            self._status.flush()


def conclusion(results: Sequence[Result]) -> str:
    """The numbers in one sentence."""
    verdicts = [result.verdict for result in results]
    parts = [
        f"{verdicts.count('releases')} release the GIL",
        f"{verdicts.count('holds')} hold it",
        f"{verdicts.count('inconclusive')} inconclusive",
    ]
    if absent := verdicts.count("not here"):
        parts.append(f"{absent} not to be measured here")
    return f"{count(len(results), 'call')}: {', '.join(parts)}."


def _cells(result: Result) -> tuple[str, ...]:
    report = result.report
    if report is None:
        return (result.verdict, "", "", "", f"{result.label} ({result.error})")
    released = "" if report.released is None else f"{report.released:.0%}"
    label = result.label
    if result.inconclusive:
        label += f" ({report.reason})"
    elif result.complaint is not None:
        label += f" (expected: {result.expected})"
    return (result.verdict, released, duration(report.wall), duration(report.longest_hold), label)


def _line(cells: Sequence[str]) -> str:
    verdict, *figures, label = cells
    padded = [text.rjust(width) for text, width in zip(figures, _WIDTHS[1:], strict=True)]
    return "  ".join([verdict.ljust(_WIDTHS[0]), *padded, label])


def _console(stream: IO[str]) -> Any:
    """A rich console, if that is installed and `stream` a terminal."""
    if not is_capable_terminal(stream):
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream, highlight=False)


def _styled(text: str, style: str) -> Any:
    from rich.text import Text

    return Text().append(text, style)
