"""What is running now, on stderr: a rich bar on a terminal, one line per group elsewhere.

Nothing is drawn while a run is measured: there is no refreshing thread, the display changes only
between runs.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    import rich.progress


class Lines:
    """Progress as plain lines, for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def group(self, title: str, runs: int) -> None:
        print(f"running: {title} ({runs} runs)", file=self._stream, flush=True)

    def run(self, contestant: str, number: int, rounds: int) -> None:
        pass


class Bar:
    """Progress as one bar per group, for a terminal."""

    def __init__(self, bar: rich.progress.Progress) -> None:
        self._bar = bar
        self._task: rich.progress.TaskID | None = None
        self._begun = 0
        self._title = ""

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish()
        self._bar.stop()

    def group(self, title: str, runs: int) -> None:
        self._finish()
        self._title, self._begun = title, 0
        self._task = self._bar.add_task(title, total=runs)

    def run(self, contestant: str, number: int, rounds: int) -> None:
        if self._task is not None:
            turn = f"round {number} of {rounds}" if number else "warm-up round"
            text = f"{self._title} | {turn} | {contestant}"
            self._bar.update(self._task, completed=self._begun, description=text, refresh=True)
            self._begun += 1

    def _finish(self) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None


def display(stream: TextIO | None = None) -> Bar | Lines:
    """The display that suits the stream and what is installed."""
    out = stream or sys.stderr
    if not out.isatty():
        return Lines(out)
    try:
        import rich.progress
        from rich.console import Console
    except ImportError:
        return Lines(out)
    bar = rich.progress.Progress(
        rich.progress.TextColumn("{task.description}", markup=False),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(file=out),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    return Bar(bar)
