"""A progress bar for a kernel's batch. Needs rich; import this module only where that may fail."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def batch_bar(stream: IO[str], word: str) -> Iterator[Callable[[int, int], None]]:
    """Gives what a kernel takes as `progress`; the bar goes away at the end, whatever ends it."""
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(word), TimeRemainingColumn())
    console = Console(file=stream, highlight=False)
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, refresh=True)

        yield progress
