"""From the records of a trace to its model: what belongs together is joined, gaps are told apart.

Nothing here touches a running program.
"""

from __future__ import annotations

import bisect
import itertools
import struct
from collections.abc import Iterator
from typing import Any, Final

from gilpool._trace_model import Counters, GilState, Moment, Recording, Run, Span, Wait

_RECORD: Final = struct.Struct("=qqqqIIIBBH")
"""csrc/core/trace_ring.hpp: begin, end, extra, cpu, number, name, thread, kind, detail, padding."""

# csrc/bindings/trace_records.hpp says what each kind's fields mean.
(
    _TASK,
    _SPAWNED,
    _CANCELLED,
    _OWN_RELEASE,
    _HANDED_BACK,
    _INSTANT,
    _SEEN,
    _COUNTERS,
    _NATIVE_BEGINS,
    _NATIVE,
    _WAIT_BEGINS,
    _NATIVE_ENDS,
) = range(12)
_OUTCOMES: Final = ("returned", "raised", "killed", "unfinished")
_DELIVERED_LATER: Final = "ran"
"""The outcome of native work that was over but not yet back in Python when the trace ended."""
_INSTANTS: Final = ("worker started", "worker retired", "runner admitted")

_SEEN_STATES: Final[tuple[GilState, ...]] = ("held", "held", "released", "waiting")
"""What a look says; one that no longer found the thread in a task came a moment after its end."""


LONGEST_GAP: Final = 10_000_000
"""Nanoseconds between two looks beyond which nothing is known of the time between them: the machine
was so busy that the observer had no CPU."""


class _Looks:
    """What was seen of each thread, and when anything was looked at."""

    def __init__(self, times: list[int]) -> None:
        self.times = times
        self._gaps = [
            (before, after)
            for before, after in itertools.pairwise(times)
            if after - before > LONGEST_GAP
        ]
        self._gap_ends = [after for _, after in self._gaps]
        self._changes: dict[int, list[tuple[int, int, GilState]]] = {}

    def add(self, thread: int, when: int, before: int, state: GilState) -> None:
        """A look at `when` found another state than the one at `before`."""
        self._changes.setdefault(thread, []).append((when, before, state))

    def sort(self) -> None:
        for changes in self._changes.values():
            changes.sort()

    def without_gaps(self, spans: list[Span]) -> list[Span]:
        """The spans less what lies in gaps."""
        if not self._gaps or not spans:
            return spans
        return [piece for span in spans for piece in self._less_gaps(span)]

    def _less_gaps(self, span: Span) -> Iterator[Span]:
        since = span.begin
        for index in range(bisect.bisect_right(self._gap_ends, span.begin), len(self._gaps)):
            before, after = self._gaps[index]
            if before >= span.end:
                break
            if before > since:
                yield Span(since, before, span.state, span.sampled)
            since = after
        if since < span.end:
            yield Span(since, span.end, span.state, span.sampled)

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
        for index in range(at + 1, len(changes)):
            when, before, new = changes[index]
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
    records = _Records(recording, raw["names"], looks)
    for chunk in raw["records"]:
        for fields in _RECORD.iter_unpack(chunk):
            records.add(fields)
    records.finish()
    return recording


class _Records:
    """Sorts records into a recording, whatever order they come in."""

    def __init__(self, recording: Recording, names: list[str], looks: _Looks) -> None:
        self._recording = recording
        self._names = names
        self._looks = looks
        self._releases: dict[int, list[tuple[int, int, int]]] = {}
        """By thread: let go, wanted back, got."""
        self._native_begins: dict[int, tuple[int, int, int]] = {}
        """By task: when, which name, on which thread."""
        self._native_ends: dict[int, tuple[int, str]] = {}
        """By task: when it was delivered, with which outcome."""

    def add(self, fields: tuple[int, ...]) -> None:
        recording = self._recording
        begin, end, extra, cpu, number, name, thread, kind, detail, _ = fields
        if kind == _SPAWNED:
            recording.spawns.append((begin, thread, number))
        elif kind == _TASK:
            run = self._run(number, name, thread, begin, end, _OUTCOMES[detail])
            run.cpu = None if cpu < 0 else cpu
            run.asked = max(extra, recording.begin) if extra else None
        elif kind == _SEEN:
            self._looks.add(thread, begin, end, _SEEN_STATES[detail])
        elif kind == _OWN_RELEASE:
            self._releases.setdefault(thread, []).append((extra, begin, end))
        elif kind == _NATIVE:
            self._run(number, name, thread, begin, end, _DELIVERED_LATER).native = True
        elif kind == _NATIVE_BEGINS:
            self._native_begins[number] = (begin, name, thread)
        elif kind == _NATIVE_ENDS:
            self._native_ends[number] = (begin, _OUTCOMES[detail])
        elif kind == _WAIT_BEGINS:
            recording.spawns.append((begin, thread, number))
            wait = Wait(number, self._names[name], thread, begin, recording.end, "unfinished")
            recording.waits.append(wait)
        elif kind == _HANDED_BACK:
            if begin >= recording.begin:
                recording.handed_back.append((thread, Span(begin, end, "waiting", False)))
        elif kind == _INSTANT:
            recording.moments.append(Moment(_INSTANTS[detail], thread, begin))
        elif kind == _COUNTERS:
            recording.counters.append(Counters(begin, number, name, extra))
        elif kind == _CANCELLED:
            recording.cancelled.append(number)

    def finish(self) -> None:
        """Joins what belongs together, and puts all in order."""
        recording = self._recording
        self._finish_native()
        self._looks.sort()
        for own in self._releases.values():
            own.sort()
        recording.spawns.sort()
        recording.runs.sort(key=lambda run: run.begin)
        recording.waits.sort(key=lambda wait: wait.begin)
        recording.moments.sort(key=lambda moment: moment.when)
        recording.counters.sort(key=lambda counters: counters.when)
        spawned = {number: (when, thread) for when, thread, number in recording.spawns}
        for run in recording.runs:
            run.spawned, run.spawner = spawned.get(run.number, (None, None))
            if not run.native:
                run.spans = self._spans(run)

    def _run(self, number: int, name: int, thread: int, begin: int, end: int, outcome: str) -> Run:
        # What began before the trace is shown from its begin.
        zero = self._recording.begin
        end = max(end, begin + 1, zero + 1)
        run = Run(number, self._names[name], thread, max(begin, zero), end, outcome)
        self._recording.runs.append(run)
        return run

    def _spans(self, run: Run) -> list[Span]:
        """The run from begin to end: what its thread stamped, and what was seen in between."""
        stamped = self._releases.get(run.thread)
        own = _within(stamped, run) if stamped else []
        if not own:
            seen = self._looks.spans(run.thread, run.begin, run.end)
            return self._looks.without_gaps(seen)
        spans: list[Span] = []
        since = run.begin
        for let_go, wanted, got in own:
            spans += self._between_stamps(run.thread, since, let_go)
            spans.append(Span(let_go, wanted, "released", False))
            since = min(got, run.end)
            if since > wanted:
                spans.append(Span(wanted, since, "waiting", False))
        return spans + self._between_stamps(run.thread, since, run.end)

    def _between_stamps(self, thread: int, begin: int, end: int) -> list[Span]:
        """There the thread had the GIL at both ends at least."""
        if end <= begin:
            return []
        seen = self._looks.spans(thread, begin, end) or [Span(begin, end, "held", False)]
        return self._looks.without_gaps(seen)

    def _finish_native(self) -> None:
        recording = self._recording
        for run in recording.runs:
            if run.native:
                self._native_begins.pop(run.number, None)
        for number, (begin, name, thread) in self._native_begins.items():
            self._run(number, name, thread, begin, recording.end, "unfinished").native = True
        for run in recording.runs:
            if run.native:
                # Its task may have been ended while it went on.
                run.outcome = self._native_ends.get(run.number, (0, run.outcome))[1]
        for wait in recording.waits:
            wait.end, wait.outcome = self._native_ends.get(wait.number, (wait.end, wait.outcome))


def _within(releases: list[tuple[int, int, int]], run: Run) -> list[tuple[int, int, int]]:
    """The releases in that run, of its thread's, which are in order."""
    first = bisect.bisect_left(releases, (run.begin,))
    return releases[first : bisect.bisect_left(releases, (run.end,), first)]
