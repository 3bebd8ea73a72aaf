"""From a recording to Chrome's trace events, the JSON that Perfetto and viztracer read.

A track per thread with a slice per task; below a worker's track one named "gil" with what its
thread had of the lock. Slices of a track nest, as the format demands. Times are microseconds on
CLOCK_MONOTONIC, so the file can be merged with others of that clock. Waits that need no thread are
async events, which may overlap and have tracks of their own.
"""

from __future__ import annotations

import bisect
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gilpool._trace_model import Counters, GilState, Moment, Recording, Run, Span, Wait

GIL_TRACK: Final = 1 << 23
"""Added to a worker's native id: the id of its "gil" track. No native id is that large."""

WAITING: Final = "Waiting for GIL"
_STATE_NAMES: Final[dict[GilState, str]] = {
    "held": "held",
    "released": "released",
    "waiting": WAITING,
}

_SPAWNS_BELONG_TOGETHER: Final = 100_000
"""Nanoseconds: spawns of one thread not further apart share a slice."""

_SAME_STRETCH: Final = 20_000
"""Nanoseconds: a runner keeps the GIL between two tasks that follow each other that closely."""


class _Text:
    """Events as text, a line each. Pieces of text and no dicts, for there are many."""

    def __init__(self, recording: Recording) -> None:
        self._pid = os.getpid()
        self._native_ids = recording.native_ids
        self._quoted: dict[str, str] = {}

    def slice(self, tid: int, name: str, category: str, begin: int, end: int, args: str) -> str:
        """A complete event; `args` is the inside of a JSON object."""
        return (
            f'{{"name":{self.quoted(name)},"cat":"{category}","ph":"X","ts":{_us(begin)},'
            f'"dur":{_us(end - begin)},"pid":{self._pid},"tid":{tid},"args":{{{args}}}}}'
        )

    def arrow(self, run: Run, spawned: int, spawner: int) -> str:
        """From a spawn to the begin of its task's call."""
        head = f'{{"name":"spawn","cat":"spawn","id":{run.number},"pid":{self._pid}'
        return (
            f'{head},"ph":"s","ts":{_us(spawned)},"tid":{self._native_ids[spawner]}}},\n'
            f'{head},"ph":"f","bp":"e","ts":{_us(run.begin)},'
            f'"tid":{self._native_ids[run.thread]}}}'
        )

    def wait(self, wait: Wait) -> str:
        """Begin and end of what may overlap anything, and belongs to no thread."""
        head = f'{{"name":{self.quoted(wait.name)},"cat":"wait","id":"{wait.number:#x}"'
        tail = f'"pid":{self._pid},"tid":{self._native_ids[wait.spawner]}'
        args = f'"task":{wait.number},"outcome":"{wait.outcome}"'
        return (
            f'{head},"ph":"b","ts":{_us(wait.begin)},{tail},"args":{{{args}}}}},\n'
            f'{head},"ph":"e","ts":{_us(wait.end)},{tail}}}'
        )

    def instant(self, moment: Moment) -> str:
        return (
            f'{{"name":"{moment.name}","cat":"worker","ph":"i","s":"t","ts":{_us(moment.when)},'
            f'"pid":{self._pid},"tid":{self._native_ids[moment.thread]}}}'
        )

    def counters(self, counters: Counters) -> Iterator[str]:
        for name, series, value in (
            ("queue depth", "tasks", counters.queued),
            ("busy", "tasks", counters.running),
            ("runners", "active", counters.runners),
        ):
            yield (
                f'{{"name":"{name}","ph":"C","ts":{_us(counters.when)},"pid":{self._pid},'
                f'"args":{{"{series}":{value}}}}}'
            )

    def metadata(self, name: str, tid: int, key: str, value: str | int) -> str:
        told = self.quoted(value) if isinstance(value, str) else value
        return (
            f'{{"name":"{name}","ph":"M","pid":{self._pid},"tid":{tid},"args":{{"{key}":{told}}}}}'
        )

    def quoted(self, name: str) -> str:
        """The name as JSON; all of it ASCII, so that a lone surrogate is no error."""
        found = self._quoted.get(name)
        if found is None:
            found = self._quoted[name] = json.dumps(name)
        return found


def _us(nanoseconds: int) -> str:
    """Microseconds, exactly."""
    digits = f"{nanoseconds:04d}"
    return f"{digits[:-3]}.{digits[-3:]}"


Entry = tuple[int, int, str]
"""Begin, minus end, text: of a track's slices the one around others comes first."""


def document(recording: Recording, thread_names: Mapping[int, str], version: str) -> Iterator[str]:
    """The file, piece by piece: one event a line."""
    head = {
        "displayTimeUnit": "ms",
        "otherData": {
            "recorded by": f"gilpool {version}",
            "clock": "CLOCK_MONOTONIC",
            "dropped_events": recording.dropped,
            "gil_looks": recording.looks,
            "gil_readable": recording.gil_seen,
            "gil_waits_readable": recording.waiters_seen,
            "begin_us": recording.begin / 1000,
            "end_us": recording.end / 1000,
        },
    }
    yield json.dumps(head)[:-1] + ', "traceEvents": [\n'
    between = ""
    for event in events(recording, thread_names):
        yield between + event
        between = ",\n"
    yield "\n]}\n"


def events(recording: Recording, thread_names: Mapping[int, str]) -> Iterator[str]:
    """All events; those of a track by time, a slice before what is nested in it."""
    text = _Text(recording)
    by_thread: dict[int, list[Run]] = {}
    for run in recording.runs:
        by_thread.setdefault(run.thread, []).append(run)
    workers = sorted(
        {*by_thread, *(moment.thread for moment in recording.moments)},
        key=lambda thread: by_thread[thread][0].begin if thread in by_thread else recording.end,
    )
    yield from _names(text, recording, workers, by_thread, thread_names)
    tracks: dict[int, list[Entry]] = {}
    for thread, runs in by_thread.items():
        tid = recording.native_ids[thread]
        track = tracks.setdefault(tid, [])
        for run in runs:
            _add_run(track, text, tid, run)
        tracks[tid + GIL_TRACK] = list(_gil_track(text, tid + GIL_TRACK, runs))
    for thread, span in recording.handed_back:
        tid = recording.native_ids[thread]
        entry = _entry(text, tid, WAITING, "gil", span.begin, span.end, _HANDED_BACK)
        tracks.setdefault(tid, []).append(entry)
    for tid, entry in _spawn_slices(text, recording, by_thread):
        tracks.setdefault(tid, []).append(entry)
    for track in tracks.values():
        track.sort()
        for _, _, line in track:
            yield line
        track.clear()
    for run in recording.runs:
        if run.spawned is not None and run.spawner is not None:
            yield text.arrow(run, run.spawned, run.spawner)
    yield from map(text.wait, recording.waits)
    yield from map(text.instant, recording.moments)
    for counters in recording.counters:
        yield from text.counters(counters)


_HANDED_BACK: Final = '"outcome":"handed back: another runner went on"'
_SAMPLED: Final = {False: '"sampled":false', True: '"sampled":true'}


def _entry(
    text: _Text, tid: int, name: str, category: str, begin: int, end: int, args: str
) -> Entry:
    return begin, -end, text.slice(tid, name, category, begin, end, args)


def _add_run(track: list[Entry], text: _Text, tid: int, run: Run) -> None:
    """The task, and within it each wait for the GIL that is known exactly."""
    start = run.start
    category = "native" if run.native else "task"
    track.append(_entry(text, tid, run.name, category, start, run.end, _task_args(run, start)))
    if run.begin > start:
        track.append(_entry(text, tid, WAITING, "gil", start, run.begin, _SAMPLED[False]))
    for span in run.spans:
        if span.state == "waiting":
            args = _SAMPLED[span.sampled]
            track.append(_entry(text, tid, WAITING, "gil", span.begin, span.end, args))


def _task_args(run: Run, start: int) -> str:
    """What is not known is null: the halves of a task that no look fell into, for one."""
    waited, held, released, unseen = run.begin - start, "null", "null", ""
    if run.spans:
        within, had, went_without = run.spent("waiting"), run.spent("held"), run.spent("released")
        waited += within
        held, released = _us(had), _us(went_without)
        rest = run.end - run.begin - within - had - went_without
        unseen = f',"unseen_us":{_us(rest)}' if rest else ""
    queued = "null" if run.spawned is None else _us(max(0, start - run.spawned))
    cpu = "null" if run.cpu is None else _us(run.cpu)
    return (
        f'"task":{run.number},"queued_us":{queued},"gil_wait_us":{_us(waited)},"held_us":{held},'
        f'"released_us":{released}{unseen},"cpu_us":{cpu},"outcome":"{run.outcome}"'
    )


def _gil_track(text: _Text, tid: int, runs: list[Run]) -> Iterator[Entry]:
    """What the thread had of the GIL; one slice for neighbours that say the same."""
    open_span: Span | None = None
    for span in _gil_spans(runs):
        if open_span is None:
            open_span = span
        elif (open_span.state, open_span.sampled) == (span.state, span.sampled) and (
            span.begin - open_span.end <= _SAME_STRETCH
        ):
            open_span = Span(open_span.begin, span.end, span.state, span.sampled)
        else:
            yield _gil_slice(text, tid, open_span)
            open_span = span
    if open_span is not None:
        yield _gil_slice(text, tid, open_span)


def _gil_spans(runs: list[Run]) -> Iterator[Span]:
    for run in runs:
        start = run.start
        if run.begin > start:
            yield Span(start, run.begin, "waiting", False)
        yield from run.spans


def _gil_slice(text: _Text, tid: int, span: Span) -> Entry:
    name, args = _STATE_NAMES[span.state], _SAMPLED[span.sampled]
    return _entry(text, tid, name, "gil", span.begin, span.end, args)


def _spawn_slices(
    text: _Text, recording: Recording, by_thread: Mapping[int, list[Run]]
) -> Iterator[tuple[int, Entry]]:
    """Slices that spawns outside of tasks belong to: an arrow must begin in a slice."""
    begins = {thread: [run.start for run in runs] for thread, runs in by_thread.items()}
    groups: dict[int, list[int]] = {}
    for when, thread, _ in recording.spawns:
        runs = by_thread.get(thread, [])
        at = bisect.bisect_right(begins.get(thread, []), when)
        if at > 0 and when < runs[at - 1].end:
            continue
        group = groups.get(thread)
        if group is not None and group[3] == at and when - group[1] <= _SPAWNS_BELONG_TOGETHER:
            group[1] = when
            group[2] += 1
            continue
        if group is not None:
            yield _spawn_slice(text, recording.native_ids[thread], group)
        groups[thread] = [when, when, 1, at]
    for thread, group in groups.items():
        yield _spawn_slice(text, recording.native_ids[thread], group)


def _spawn_slice(text: _Text, tid: int, group: list[int]) -> tuple[int, Entry]:
    first, last, count, _ = group
    return tid, _entry(text, tid, "spawn", "spawn", first, last + 1, f'"tasks":{count}')


def _names(
    text: _Text,
    recording: Recording,
    workers: list[int],
    by_thread: Mapping[int, list[Run]],
    thread_names: Mapping[int, str],
) -> Iterator[str]:
    """Names and order of the tracks: other threads first, then each worker with its "gil"."""

    program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
    yield text.metadata("process_name", os.getpid(), "name", program)
    position = 0
    for thread in _other_threads(recording, workers):
        tid = recording.native_ids[thread]
        yield text.metadata("thread_name", tid, "name", thread_names.get(tid, f"thread {tid}"))
        yield text.metadata("thread_sort_index", tid, "sort_index", position)
        position += 1
    for number, thread in enumerate(workers, 1):
        tid = recording.native_ids[thread]
        yield text.metadata("thread_name", tid, "name", f"gilpool worker {number}")
        yield text.metadata("thread_sort_index", tid, "sort_index", position)
        if any(run.begin > run.start or run.spans for run in by_thread.get(thread, ())):
            yield text.metadata("thread_name", tid + GIL_TRACK, "name", "gil")
            yield text.metadata("thread_sort_index", tid + GIL_TRACK, "sort_index", position + 1)
        position += 2


def _other_threads(recording: Recording, workers: Iterable[int]) -> list[int]:
    spawners = {thread for _, thread, _ in recording.spawns}
    handers = {thread for thread, _ in recording.handed_back}
    return sorted((spawners | handers).difference(workers))
