"""The display without a terminal or without rich: one line per finished row, or nothing at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from gilpool._cli.model import RowResult, Session
from gilpool._cli.rows import Row
from gilpool._cli.table import HEADINGS, Columns, cells, machine_line


class PlainDisplay:
    """Writes the heading with the first result, then each result as soon as it is there."""

    frame_seconds = None

    def __init__(self, rows: Sequence[Row], stream: IO[str]) -> None:
        self._columns = Columns(rows)
        self._stream = stream

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def draw(self, session: Session, now_ns: int) -> None:
        """Nothing: a line cannot be taken back."""

    def finished(self, result: RowResult, session: Session) -> None:
        lines = [self._columns.line(cells(result))]
        if len(session.results) == 1:
            lines[:0] = [machine_line(session.machine), self._columns.line(HEADINGS)]
        # Flushed, so that a reader sees each row when it is there, and we see when the reader has
        # gone.
        print(*lines, sep="\n", file=self._stream, flush=True)


class NoDisplay:
    """Shows nothing while the measurement runs."""

    frame_seconds = None

    def __enter__(self) -> NoDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def draw(self, session: Session, now_ns: int) -> None:
        """Nothing."""

    def finished(self, result: RowResult, session: Session) -> None:
        """Nothing."""
