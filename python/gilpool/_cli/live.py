"""The live display: a line per row that is done, a progress bar per thread of the one that runs.

Needs rich; import this module only where that may fail. It is drawn by the thread that reads the
pipe, so it costs the measuring process nothing but a share of the cores: frames are few and cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import IO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from gilpool._cli.model import RowResult, RunningRow, Session, Timeline
from gilpool._cli.rows import Row
from gilpool._cli.table import HEADINGS, Columns, cells, machine_line

STYLES = {"waiting": "bright_black", "held": "dark_orange", "released": "dodger_blue1"}
"""One colour per phase: those of the picture, as near as a terminal has them."""

_WORDS = {"waiting": "waits for the GIL", "held": "holds the GIL", "released": "GIL released"}
_WORD_WIDTH = max(map(len, _WORDS.values()))
_BAR_LIMIT = 48


class LiveDisplay:
    """Draws on a terminal; at the end only the results stay there, or nothing at all.

    Leaves the terminal as it found it, whatever ends the measurement.
    """

    frame_seconds = 0.08

    def __init__(self, rows: Sequence[Row], stream: IO[str], *, keep_results: bool) -> None:
        self._columns = Columns(rows)
        self._keep_results = keep_results
        self._console = Console(file=stream, highlight=False)
        self._utf8 = self._console.encoding.startswith("utf")
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveDisplay:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def draw(self, session: Session, now_ns: int) -> None:
        if session.running is not None:
            self._live.update(self.frame(session.running, len(session.rows), now_ns), refresh=True)

    def finished(self, result: RowResult, session: Session) -> None:
        self._live.update(Text(), refresh=True)
        if not self._keep_results:
            return
        if len(session.results) == 1:
            self._print(Text(machine_line(session.machine)))
            self._print(Text(self._columns.line(HEADINGS), "bold"))
        self._print(self.result_line(result))

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)

    def result_line(self, result: RowResult) -> Text:
        """One result in columns; the verdict in its phase's colour."""
        styles = {"seconds": "bold", "GIL": STYLES[result.verdict]}
        line = Text()
        for heading, text in zip(HEADINGS, self._columns.padded(cells(result)), strict=True):
            line.append(text, styles.get(heading, ""))
            line.append("  ")
        line.rstrip()
        return line

    def frame(self, running: RunningRow, rows: int, now_ns: int) -> Text:
        """What stands below the results at this moment."""
        row = running.row
        start_ns = running.start_ns
        since = 0.0 if start_ns is None else (now_ns - start_ns) / 1e9
        text = Text("\n", no_wrap=True, overflow="crop")
        text.append(f"  {row.number} of {rows}: {row.runner}, {row.label}", "bold")
        text.append(f"  {since:.1f} s\n\n")
        timelines = running.timelines(now_ns)
        # The results stay in sight, whatever the number of threads.
        room = max(3, self._console.height - rows - 8)
        shown = timelines
        if len(timelines) > room:
            shown = tuple(sorted(timelines, key=_idleness)[: room - 1])
        for timeline in shown:
            self._thread(text, timeline, row.ideal, len(str(row.threads)))
        if len(shown) < len(timelines):
            ended = sum(timeline.ended for timeline in timelines)
            text.append(f"  and {len(timelines) - len(shown)} more; {ended} of all have ended\n")
        return text

    def _thread(self, text: Text, timeline: Timeline, expected: float, digits: int) -> None:
        phase = timeline.phase or "waiting"
        if timeline.ended:
            off_the_gil = timeline.seconds_in("released") >= timeline.seconds_in("held")
            phase = "released" if off_the_gil else "held"
        word = "done" if timeline.ended else _WORDS[phase]
        elapsed = timeline.call_seconds
        text.append(f"  thread {timeline.index + 1:>{digits}}  ")
        self._bar(text, min(1.0, elapsed / expected), STYLES[phase])
        text.append(f"  {word:<{_WORD_WIDTH}}", "" if timeline.ended else STYLES[phase])
        text.append(f"  {elapsed:5.1f} of {expected:g} s\n")

    def _bar(self, text: Text, fraction: float, style: str) -> None:
        """Appends a bar that moves by half a cell."""
        width = max(8, min(_BAR_LIMIT, self._console.width - 48))
        halves = int(fraction * width * 2)
        full, half = divmod(halves, 2)
        if self._utf8:
            done, tip, rest = "━", "╸", "─"
        else:
            done, tip, rest = "=", "-", "."
        text.append(done * full + tip * half, style)
        text.append(rest * (width - full - half), STYLES["waiting"])


def _idleness(timeline: Timeline) -> int:
    """Sorts the threads that are in their call before those that wait, and the ended ones last."""
    if timeline.ended:
        return 2
    return 1 if timeline.phase in ("waiting", None) else 0
