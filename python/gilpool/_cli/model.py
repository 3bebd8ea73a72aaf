"""From the lines a measuring child writes to phases per thread and a result per row.

Nothing here reads a clock, a file or a pipe: the same lines always give the same results. A
`Session` is used by one thread.

The lines are `P <row> <index> <phase> <t_ns> <native_id>`, written natively by the threads that are
measured and by the thread that samples them, and `J <object>`, written by the child's Python code.
Lines of different threads may arrive in another order than their stamps.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from gilpool._cli.rows import RELEASED_FROM, Row, Verdict

Phase = Literal["waiting", "held", "released"]
StampedPhase = Literal["waiting", "held", "released", "end"]

_STAMPED: dict[str, StampedPhase] = {
    "waiting": "waiting",
    "held": "held",
    "released": "released",
    "end": "end",
}
_ORDER_AT_ONE_INSTANT: dict[StampedPhase, int] = {"waiting": 0, "held": 1, "released": 1, "end": 2}


class UnreadableLineError(ValueError):
    """A complete line that no measuring child writes."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """One change of phase of one thread of one row."""

    row: int
    index: int
    phase: StampedPhase
    t_ns: int
    native_id: int


@dataclass(frozen=True, slots=True)
class Span:
    """An uninterrupted stretch of one phase."""

    phase: Phase
    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Timeline:
    """What one thread did, from the moment it was ready to begin its call to the call's end."""

    index: int
    native_id: int | None
    """The OS thread that made the call; None until it has begun."""
    spans: tuple[Span, ...]
    ended: bool

    @property
    def phase(self) -> Phase | None:
        """The phase it is in, or was in at the end; None before the first stamp."""
        return self.spans[-1].phase if self.spans else None

    def seconds_in(self, phase: Phase) -> float:
        return sum(span.seconds for span in self.spans if span.phase == phase)

    @property
    def call_seconds(self) -> float:
        """Time since the call began, or its length once it has ended."""
        return self.seconds_in("held") + self.seconds_in("released")


@dataclass(frozen=True)
class RowResult:
    """A row that has run to its end."""

    row: Row
    start_ns: int
    """The earliest stamp: the gate opened, or the first thread was asked for."""
    end_ns: int
    """After the last thread was joined."""
    timelines: tuple[Timeline, ...]

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9

    @property
    def ratio(self) -> float:
        """Seconds in units of one call."""
        return self.seconds / self.row.ideal

    @cached_property
    def released_fraction(self) -> float:
        """The share of all in-call time that was spent off the GIL."""
        in_call = sum(timeline.call_seconds for timeline in self.timelines)
        off_the_gil = sum(timeline.seconds_in("released") for timeline in self.timelines)
        return off_the_gil / in_call if in_call else 0.0

    @property
    def verdict(self) -> Verdict:
        return "released" if self.released_fraction >= RELEASED_FROM else "held"

    @property
    def os_threads(self) -> int:
        """How many distinct OS threads made the calls."""
        return len({timeline.native_id for timeline in self.timelines} - {None})


class LineSplitter:
    """Cuts a stream of bytes into complete lines; what follows the last newline waits for more."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]

    @property
    def rest(self) -> bytes:
        """The incomplete last line; at the end of the stream this much was lost."""
        return self._rest


def parse_line(line: str) -> Stamp | dict[str, Any]:
    """Reads one complete line: a stamp, or the object of a `J` line.

    Raises:
        UnreadableLineError: The line is neither.
    """
    kind, _, rest = line.partition(" ")
    try:
        if kind == "P":
            row, index, phase, t_ns, native_id = rest.split(" ")
            if phase in _STAMPED:
                return Stamp(int(row), int(index), _STAMPED[phase], int(t_ns), int(native_id))
        elif kind == "J":
            note = json.loads(rest)
            if isinstance(note, dict) and isinstance(note.get("event"), str):
                return note
    except ValueError:
        pass
    raise UnreadableLineError(f"unreadable line from the measuring process: {line[:100]!r}")


def timeline_of(index: int, stamps: Iterable[Stamp], until_ns: int) -> Timeline:
    """Joins one thread's stamps, in whatever order they came, into spans.

    A thread that has not ended is drawn up to `until_ns`. Stamps after its end (the sampler may be
    late by one look) and repeated ones change nothing.
    """
    spans: list[Span] = []
    native_id: int | None = None
    open_phase: Phase | None = None
    open_since = 0
    ended = False

    def close_span(t_ns: int) -> None:
        if open_phase is not None and t_ns > open_since:
            spans.append(Span(open_phase, open_since, t_ns))

    for stamp in sorted(stamps, key=lambda s: (s.t_ns, _ORDER_AT_ONE_INSTANT[s.phase])):
        # The waiting stamp of a spawned task comes from its spawner: it does not tell who makes the
        # call.
        if stamp.phase != "waiting":
            native_id = stamp.native_id
        if stamp.phase == open_phase:
            continue
        close_span(stamp.t_ns)
        if stamp.phase == "end":
            ended = True
            break
        open_phase, open_since = stamp.phase, stamp.t_ns
    if not ended:
        close_span(until_ns)
    return Timeline(index, native_id, tuple(spans), ended)


@dataclass
class RunningRow:
    """A row whose end has not been reported yet."""

    row: Row
    stamps: list[list[Stamp]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stamps = [[] for _ in range(self.row.threads)]

    @property
    def start_ns(self) -> int | None:
        """The earliest stamp so far, if any."""
        return min((stamp.t_ns for stamps in self.stamps for stamp in stamps), default=None)

    def timelines(self, until_ns: int) -> tuple[Timeline, ...]:
        return tuple(timeline_of(i, stamps, until_ns) for i, stamps in enumerate(self.stamps))


class Session:
    """All that a measuring child has reported so far."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = tuple(rows)
        self.machine: dict[str, Any] = {}
        self.results: list[RowResult] = []
        self.running: RunningRow | None = None
        self.failure: str | None = None
        """The child's own words, when it could not go on."""
        self.done = False

    @property
    def gil_enabled(self) -> bool:
        return bool(self.machine.get("gil_enabled", True))

    def feed(self, line: str) -> RowResult | None:
        """Takes one complete line; returns a row's result when the line ends that row.

        Raises:
            UnreadableLineError: The line makes no sense, or not at this point.
        """
        item = parse_line(line)
        if isinstance(item, Stamp):
            running = self.running
            if (
                running is None
                or running.row.number != item.row
                or not 0 <= item.index < running.row.threads
            ):
                raise UnreadableLineError(f"stamp of a thread that is not running: {line[:100]!r}")
            running.stamps[item.index].append(item)
            return None
        return self._note(item)

    def _note(self, note: dict[str, Any]) -> RowResult | None:
        event = note["event"]
        if event == "hello":
            self.machine = dict(note["machine"])
        elif event == "row" and len(self.results) < len(self.rows):
            row = self.rows[len(self.results)]
            if "call_ms" in note:
                row = replace(row, call_ms=float(note["call_ms"]))
            self.running = RunningRow(row)
        elif event == "row_end" and self.running is not None:
            return self._finish(self.running, int(note["t_ns"]))
        elif event == "failed":
            self.failure = str(note["message"])
        elif event == "done" and len(self.results) == len(self.rows):
            self.done = True
        else:
            raise UnreadableLineError(f"unexpected note from the measuring process: {note!r:.100}")
        return None

    def _finish(self, running: RunningRow, end_ns: int) -> RowResult:
        timelines = running.timelines(end_ns)
        start_ns = running.start_ns
        unfinished = [str(timeline.index + 1) for timeline in timelines if not timeline.ended]
        if start_ns is None or unfinished:
            raise UnreadableLineError(
                f"row {running.row.number} ended, but not its threads {', '.join(unfinished)}"
            )
        result = RowResult(running.row, start_ns, end_ns, timelines)
        self.results.append(result)
        self.running = None
        return result
