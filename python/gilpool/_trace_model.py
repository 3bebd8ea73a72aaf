"""From the records of a trace to tasks: when each ran, waited, and had the GIL.

Pure data; nothing here touches a running program. Times are integers, nanoseconds on
CLOCK_MONOTONIC.
"""

from __future__ import annotations

import bisect
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

_RECORD: Final = struct.Struct("=qqqqIIIBBH")
"""csrc/core/trace_ring.hpp: begin, end, extra, cpu, number, name, thread, kind, detail, padding."""

# csrc/bindings/trace.hpp says what each kind's fields mean.
(
    _TASK,
    _SPAWNED,
    _CANCELLED,
    _OWN_RELEASE,
    _HANDED_BACK,
    _INSTANT,
    _SEEN,
    _COUNTERS,
    _NATIVE,
) = range(9)
_OUTCOMES: Final = ("returned", "raised", "killed", "unfinished")
_INSTANTS: Final = ("worker started", "worker retired", "runner admitted")

GilState = Literal["held", "released", "waiting"]
_SEEN_STATES: Final[tuple[GilState, ...]] = ("held", "held", "released", "waiting")
"""What a look says; one that no longer found the thread in a task came a moment after its end."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a task in which its thread had the GIL, did without, or waited for it."""

    begin: int
    end: int
    state: GilState
    sampled: bool
    """Seen by looks about a millisecond apart; otherwise stamped by the thread itself."""


@dataclass(slots=True)
class Run:
    """One task, or native work, that ran."""

    number: int
    name: str
    thread: int
    begin: int
    """When the worker had the GIL and made the call; for native work, when that began."""
    end: int
    outcome: str
    native: bool = False
    cpu: int | None = None
    asked: int | None = None
    """Since when the worker had waited for the GIL, if it had."""
    spawned: int | None = None
    spawner: int | None = None
    spans: list[Span] = field(default_factory=list)
    """The call from begin to end without gaps; empty where nothing is known."""

    @property
    def start(self) -> int:
        """When a worker turned to this task: it began to wait for the GIL, or to run."""
        if self.asked is None:
            return self.begin
        return min(self.begin, max(self.asked, self.spawned or self.asked))

    @property
    def queued(self) -> int | None:
        """Nanoseconds from the spawn until a worker turned to it."""
        return None if self.spawned is None else max(0, self.start - self.spawned)

    @property
    def gil_wait(self) -> int:
        """Nanoseconds it is known to have waited for the GIL, at its begin and within."""
        return self.begin - self.start + self.spent("waiting")

    def spent(self, state: GilState) -> int:
        """Nanoseconds of the call in that state."""
        return sum(span.end - span.begin for span in self.spans if span.state == state)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to a thread at one moment."""

    name: str
    thread: int
    when: int


@dataclass(frozen=True, slots=True)
class Counters:
    """How many tasks were queued and running, and how many of those held or wanted the GIL."""

    when: int
    queued: int
    running: int
    runners: int


@dataclass(slots=True)
class Recording:
    """A whole trace."""

    begin: int
    end: int
    native_ids: list[int]
    """By thread index."""
    dropped: int
    gil_seen: bool
    """Whether this interpreter lets the GIL be looked at."""
    waiters_seen: bool
    """Whether a thread that waits for the GIL in somebody else's code is told from one that blocks;
    where not, it counts as released."""
    runs: list[Run] = field(default_factory=list)
    """By begin."""
    spawns: list[tuple[int, int, int]] = field(default_factory=list)
    """When, on which thread, which task; by time."""
    cancelled: list[int] = field(default_factory=list)
    handed_back: list[tuple[int, Span]] = field(default_factory=list)
    """Waits for the GIL, with their threads, that led to no task: another runner went on."""
    moments: list[Moment] = field(default_factory=list)
    counters: list[Counters] = field(default_factory=list)
    looks: int = 0


class _Looks:
    """What was seen of each thread, and when anything was looked at."""

    def __init__(self, times: list[int]) -> None:
        self.times = times
        self._changes: dict[int, list[tuple[int, int, GilState]]] = {}

    def add(self, thread: int, when: int, before: int, state: GilState) -> None:
        """A look at `when` found another state than the one at `before`."""
        self._changes.setdefault(thread, []).append((when, before, state))

    def sort(self) -> None:
        for changes in self._changes.values():
            changes.sort()

    def spans(self, thread: int, begin: int, end: int) -> list[Span]:
        """What the looks within say; a change lies in the middle between two looks."""
        first = bisect.bisect_left(self.times, begin)
        last = bisect.bisect_right(self.times, end) - 1
        changes = self._changes.get(thread)
        if first > last or not changes:
            return []
        at = bisect.bisect_right(changes, self.times[first], key=_when) - 1
        state: GilState = changes[at][2] if at >= 0 else "held"
        since = begin
        spans = []
        for when, before, new in changes[at + 1 :]:
            if when > self.times[last]:
                break
            if new == state:
                continue
            middle = min(max((when + before) // 2, since), end)
            if middle > since:
                spans.append(Span(since, middle, state, True))
            since, state = middle, new
        spans.append(Span(since, end, state, True))
        return spans


def _when(change: tuple[int, int, GilState]) -> int:
    return change[0]


def build(raw: dict[str, Any]) -> Recording:
    """Makes sense of what `_core._trace_stop()` returned."""
    recording = Recording(
        begin=raw["begin"],
        end=raw["end"],
        native_ids=raw["native_ids"],
        dropped=raw["dropped"],
        gil_seen=raw["gil_seen"],
        waiters_seen=raw["waiters_seen"],
    )
    looks = _Looks([when for (when,) in struct.iter_unpack("=q", raw["looks"])])
    recording.looks = len(looks.times)
    releases: dict[int, list[tuple[int, int, int]]] = {}
    names: list[str] = raw["names"]
    for chunk in raw["records"]:
        for fields in _RECORD.iter_unpack(chunk):
            _sort_in(recording, fields, names, looks, releases)
    looks.sort()
    for own in releases.values():
        own.sort()
    recording.spawns.sort()
    recording.runs.sort(key=lambda run: run.begin)
    recording.moments.sort(key=lambda moment: moment.when)
    recording.counters.sort(key=lambda counters: counters.when)
    spawned = {number: (when, thread) for when, thread, number in recording.spawns}
    for run in recording.runs:
        run.spawned, run.spawner = spawned.get(run.number, (None, None))
        if not run.native:
            own = list(_within(releases.get(run.thread, ()), run))
            run.spans = list(_spans(run, own, looks))
    return recording


def _sort_in(
    recording: Recording,
    fields: tuple[int, ...],
    names: list[str],
    looks: _Looks,
    releases: dict[int, list[tuple[int, int, int]]],
) -> None:
    begin, end, extra, cpu, number, name, thread, kind, detail, _ = fields
    if kind == _SPAWNED:
        recording.spawns.append((begin, thread, number))
    elif kind in (_TASK, _NATIVE):
        recording.runs.append(
            Run(
                number=number,
                name=names[name],
                thread=thread,
                # What began before the trace is shown from its begin.
                begin=max(begin, recording.begin),
                end=max(end, begin + 1, recording.begin + 1),
                outcome="ran" if kind == _NATIVE else _OUTCOMES[detail],
                native=kind == _NATIVE,
                cpu=None if cpu < 0 else cpu,
                asked=max(extra, recording.begin) if extra else None,
            )
        )
    elif kind == _SEEN:
        looks.add(thread, begin, end, _SEEN_STATES[detail])
    elif kind == _OWN_RELEASE:
        releases.setdefault(thread, []).append((extra, begin, end))
    elif kind == _HANDED_BACK:
        if begin >= recording.begin:
            recording.handed_back.append((thread, Span(begin, end, "waiting", False)))
    elif kind == _INSTANT:
        recording.moments.append(Moment(_INSTANTS[detail], thread, begin))
    elif kind == _COUNTERS:
        recording.counters.append(Counters(begin, number, name, extra))
    elif kind == _CANCELLED:
        recording.cancelled.append(number)


def _within(
    releases: Iterable[tuple[int, int, int]] | list[tuple[int, int, int]], run: Run
) -> Iterator[tuple[int, int, int]]:
    """The releases in that run, of its thread's, which are in order."""
    if not isinstance(releases, list):
        return
    for at in range(bisect.bisect_left(releases, (run.begin,)), len(releases)):
        if releases[at][0] >= run.end:
            break
        yield releases[at]


def _spans(run: Run, own: list[tuple[int, int, int]], looks: _Looks) -> Iterator[Span]:
    """The run from begin to end: what its thread stamped, and what was seen in between."""
    since = run.begin
    for let_go, wanted, got in own:
        yield from _gap(run, since, let_go, looks)
        yield Span(let_go, wanted, "released", False)
        if got > wanted:
            yield Span(wanted, min(got, run.end), "waiting", False)
        since = min(got, run.end)
    if own:
        yield from _gap(run, since, run.end, looks)
    else:
        yield from looks.spans(run.thread, run.begin, run.end)


def _gap(run: Run, begin: int, end: int, looks: _Looks) -> Iterator[Span]:
    """Between two stamps the thread had the GIL, at both ends at least."""
    if end > begin:
        yield from looks.spans(run.thread, begin, end) or [Span(begin, end, "held", False)]
