"""From a recording to Chrome's trace events, the JSON that Perfetto and viztracer read.

A track per thread with a slice per task; below a worker's track one named "gil" with what its
thread had of the lock. Slices of a track nest, as the format demands. Times are microseconds on
CLOCK_MONOTONIC, so the file can be merged with others of that clock.
"""

from __future__ import annotations

import bisect
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from gilpool._trace_model import GilState, Recording, Run, Span

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

Event = dict[str, Any]


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
        yield between + json.dumps(event, separators=(",", ":"), ensure_ascii=False)
        between = ",\n"
    yield "\n]}\n"


def events(recording: Recording, thread_names: Mapping[int, str]) -> Iterator[Event]:
    """All events; those of a track by time, a slice before what is nested in it."""
    pid = os.getpid()
    by_thread: dict[int, list[Run]] = {}
    for run in recording.runs:
        by_thread.setdefault(run.thread, []).append(run)
    workers = sorted(
        {*by_thread, *(moment.thread for moment in recording.moments)},
        key=lambda thread: by_thread[thread][0].begin if thread in by_thread else recording.end,
    )
    yield from _names(pid, recording, workers, by_thread, thread_names)
    slices: dict[int, list[Event]] = {}
    for event in _all_slices(pid, recording, by_thread):
        slices.setdefault(event["tid"], []).append(event)
    for track in slices.values():
        track.sort(key=lambda event: (event["ts"], -event["dur"]))
        yield from track
    yield from _flows(pid, recording)
    for moment in recording.moments:
        yield {
            "name": moment.name,
            "cat": "worker",
            "ph": "i",
            "s": "t",
            "ts": _us(moment.when),
            "pid": pid,
            "tid": recording.native_ids[moment.thread],
        }
    yield from _counters(pid, recording)


def _all_slices(
    pid: int, recording: Recording, by_thread: Mapping[int, list[Run]]
) -> Iterator[Event]:
    for thread, runs in by_thread.items():
        tid = recording.native_ids[thread]
        for run in runs:
            yield from _slices(pid, tid, run)
        yield from _gil_track(pid, tid + GIL_TRACK, runs)
    for thread, span in recording.handed_back:
        args = {"outcome": "handed back: another runner went on"}
        yield _slice(pid, recording.native_ids[thread], WAITING, "gil", span.begin, span.end, args)
    yield from _spawn_slices(pid, recording, by_thread)


def _us(nanoseconds: int) -> float:
    return nanoseconds / 1000


def _slice(
    pid: int, tid: int, name: str, category: str, begin: int, end: int, args: Event
) -> Event:
    return {
        "name": name,
        "cat": category,
        "ph": "X",
        "ts": _us(begin),
        # From the rounded ends, so that neighbours and parents stay so whoever adds them up.
        "dur": round(_us(end) - _us(begin), 3),
        "pid": pid,
        "tid": tid,
        "args": args,
    }


def _slices(pid: int, tid: int, run: Run) -> Iterator[Event]:
    """The task, and within it each wait for the GIL that is known exactly."""
    args = _task_args(run)
    category = "native" if run.native else "task"
    yield _slice(pid, tid, run.name, category, run.start, run.end, args)
    if run.begin > run.start:
        yield _slice(pid, tid, WAITING, "gil", run.start, run.begin, {"sampled": False})
    for span in run.spans:
        if span.state == "waiting":
            args = {"sampled": span.sampled}
            yield _slice(pid, tid, WAITING, "gil", span.begin, span.end, args)


def _task_args(run: Run) -> Event:
    """What is not known is null: the halves of a task that no look fell into, for one."""
    known = bool(run.spans)
    return {
        "task": run.number,
        "queued_us": _us_or_none(run.queued),
        "gil_wait_us": _us(run.gil_wait),
        "held_us": _us(run.spent("held")) if known else None,
        "released_us": _us(run.spent("released")) if known else None,
        "cpu_us": _us_or_none(run.cpu),
        "outcome": run.outcome,
    }


def _us_or_none(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else _us(nanoseconds)


def _gil_track(pid: int, tid: int, runs: list[Run]) -> Iterator[Event]:
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
            yield _gil_slice(pid, tid, open_span)
            open_span = span
    if open_span is not None:
        yield _gil_slice(pid, tid, open_span)


def _gil_spans(runs: list[Run]) -> Iterator[Span]:
    for run in runs:
        if run.begin > run.start:
            yield Span(run.start, run.begin, "waiting", False)
        yield from run.spans


def _gil_slice(pid: int, tid: int, span: Span) -> Event:
    args = {"sampled": span.sampled}
    return _slice(pid, tid, _STATE_NAMES[span.state], "gil", span.begin, span.end, args)


def _spawn_slices(
    pid: int, recording: Recording, by_thread: Mapping[int, list[Run]]
) -> Iterator[Event]:
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
            yield _spawn_slice(pid, recording.native_ids[thread], group)
        groups[thread] = [when, when, 1, at]
    for thread, group in groups.items():
        yield _spawn_slice(pid, recording.native_ids[thread], group)


def _spawn_slice(pid: int, tid: int, group: list[int]) -> Event:
    first, last, count, _ = group
    return _slice(pid, tid, "spawn", "spawn", first, last + 1, {"tasks": count})


def _flows(pid: int, recording: Recording) -> Iterator[Event]:
    """An arrow from each spawn to the begin of its task's call."""
    for run in recording.runs:
        if run.spawned is None or run.spawner is None:
            continue
        arrow = {"name": "spawn", "cat": "spawn", "id": run.number, "pid": pid}
        spawner = recording.native_ids[run.spawner]
        yield {**arrow, "ph": "s", "ts": _us(run.spawned), "tid": spawner}
        runner = recording.native_ids[run.thread]
        yield {**arrow, "ph": "f", "bp": "e", "ts": _us(run.begin), "tid": runner}


def _counters(pid: int, recording: Recording) -> Iterator[Event]:
    for counters in recording.counters:
        for name, series, value in (
            ("queue depth", "tasks", counters.queued),
            ("busy", "tasks", counters.running),
            ("runners", "active", counters.runners),
        ):
            yield {
                "name": name,
                "ph": "C",
                "ts": _us(counters.when),
                "pid": pid,
                "args": {series: value},
            }


def _names(
    pid: int,
    recording: Recording,
    workers: list[int],
    by_thread: Mapping[int, list[Run]],
    thread_names: Mapping[int, str],
) -> Iterator[Event]:
    """Names and order of the tracks: other threads first, then each worker with its "gil"."""

    def meta(name: str, tid: int, args: Event) -> Event:
        return {"name": name, "ph": "M", "pid": pid, "tid": tid, "args": args}

    program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "python"
    yield meta("process_name", pid, {"name": program})
    position = 0
    for thread in _other_threads(recording, workers):
        tid = recording.native_ids[thread]
        yield meta("thread_name", tid, {"name": thread_names.get(tid, f"thread {tid}")})
        yield meta("thread_sort_index", tid, {"sort_index": position})
        position += 1
    for number, thread in enumerate(workers, 1):
        tid = recording.native_ids[thread]
        yield meta("thread_name", tid, {"name": f"gilpool worker {number}"})
        yield meta("thread_sort_index", tid, {"sort_index": position})
        if any(run.begin > run.start or run.spans for run in by_thread.get(thread, ())):
            yield meta("thread_name", tid + GIL_TRACK, {"name": "gil"})
            yield meta("thread_sort_index", tid + GIL_TRACK, {"sort_index": position + 1})
        position += 2


def _other_threads(recording: Recording, workers: Iterable[int]) -> list[int]:
    spawners = {thread for _, thread, _ in recording.spawns}
    handers = {thread for thread, _ in recording.handed_back}
    return sorted((spawners | handers).difference(workers))
