"""The rules of Chrome's trace events, and those that gilpool's traces keep besides.

`check(path)` reads a file and returns what it found, or fails with the rule that is broken. The
rules are those that Perfetto's importer holds against a file: slices of a track nest, arrows begin
and end in slices, every track has a name.
"""

import bisect
import gzip
import itertools
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gilpool._trace_events import GIL_TRACK, WAITING

Event = dict[str, Any]

_REQUIRED = {
    "X": {"name", "cat", "ts", "dur", "pid", "tid", "args"},
    "M": {"name", "pid", "tid", "args"},
    "C": {"name", "ts", "pid", "args"},
    "i": {"name", "ts", "pid", "tid", "s"},
    "s": {"name", "cat", "id", "ts", "pid", "tid"},
    "f": {"name", "cat", "id", "ts", "pid", "tid", "bp"},
    "b": {"name", "cat", "id", "ts", "pid", "tid", "args"},
    "e": {"name", "cat", "id", "ts", "pid", "tid"},
}


SEEN = ("gil_wait_us", "held_us", "released_us")
OUTCOMES = ("returned", "raised", "killed", "unfinished")


def ns(microseconds: float) -> int:
    return round(microseconds * 1000)


@dataclass(frozen=True)
class Slice:
    name: str
    begin: int
    end: int
    tid: int
    category: str
    args: Event

    def __str__(self) -> str:
        return f"{self.name} [{self.begin}, {self.end}) on {self.tid}"


@dataclass
class Trace:
    """A file that keeps the rules."""

    other: Event
    tasks: list[Slice] = field(default_factory=list)
    native: list[Slice] = field(default_factory=list)
    gil: dict[int, list[Slice]] = field(default_factory=lambda: defaultdict(list))
    """By the worker's native id: the slices of its "gil" track."""
    waits: list[Slice] = field(default_factory=list)
    """Waits for the GIL on the workers' own tracks."""
    threadless: list[Slice] = field(default_factory=list)
    """Waits that need no thread; `tid` is who spawned them."""
    spawns: list[Slice] = field(default_factory=list)
    arrows: dict[int, tuple[Event, Event]] = field(default_factory=dict)
    counters: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    instants: list[Event] = field(default_factory=list)
    thread_names: dict[int, str] = field(default_factory=dict)

    def held(self) -> list[Slice]:
        """All stretches in which some worker had the GIL."""
        return [piece for track in self.gil.values() for piece in track if piece.name == "held"]


def load(path: str | Path) -> Any:
    data = Path(path).read_bytes()
    return json.loads(gzip.decompress(data) if str(path).endswith(".gz") else data)


def check(path: str | Path) -> Trace:
    document = load(path)
    assert set(document) == {"displayTimeUnit", "otherData", "traceEvents"}
    assert document["displayTimeUnit"] in ("ms", "ns")
    events = document["traceEvents"]
    trace = Trace(document["otherData"])
    for event in events:
        phase = event["ph"]
        assert phase in _REQUIRED, event
        assert _REQUIRED[phase] <= set(event), event
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event.get("tid", 0), int)
        if phase != "M":
            assert trace.other["begin_us"] <= event["ts"] <= trace.other["end_us"], event
    assert len({event["pid"] for event in events}) == 1
    slices = [_slice(event) for event in events if event["ph"] == "X"]
    _check_names(trace, events, {piece.tid for piece in slices})
    _check_nesting(slices)
    _sort_slices(trace, slices)
    _check_gil_tracks(trace)
    _check_tasks(trace)
    _check_arrows(trace, events, slices)
    _check_async(trace, events)
    _check_counters(trace, events)
    trace.instants = [event for event in events if event["ph"] == "i"]
    for event in trace.instants:
        assert event["s"] in ("g", "p", "t")
    return trace


def _slice(event: Event) -> Slice:
    assert event["dur"] > 0, event
    begin = ns(event["ts"])
    end = begin + ns(event["dur"])
    return Slice(event["name"], begin, end, event["tid"], event["cat"], event["args"])


def _check_names(trace: Trace, events: list[Event], used: set[int]) -> None:
    meta: dict[str, dict[int, Any]] = defaultdict(dict)
    for event in events:
        if event["ph"] == "M":
            assert event["tid"] not in meta[event["name"]], f"named twice: {event}"
            (meta[event["name"]][event["tid"]],) = event["args"].values()
    assert set(meta) <= {"process_name", "thread_name", "thread_sort_index"}
    assert len(meta["process_name"]) == 1
    assert used <= set(meta["thread_name"]), "a track has no name"
    assert set(meta["thread_name"]) == set(meta["thread_sort_index"])
    places = list(meta["thread_sort_index"].values())
    assert len(places) == len(set(places))
    trace.thread_names = meta["thread_name"]


def _check_nesting(slices: list[Slice]) -> None:
    """In the order of the file: a track's slices by time, each within the one around it."""
    around: dict[int, list[Slice]] = defaultdict(list)
    latest: dict[int, int] = defaultdict(int)
    for piece in slices:
        assert piece.begin >= latest[piece.tid], f"{piece} comes late"
        latest[piece.tid] = piece.begin
        stack = around[piece.tid]
        while stack and stack[-1].end <= piece.begin:
            stack.pop()
        assert not stack or piece.end <= stack[-1].end, f"{piece} crosses {stack[-1]}"
        stack.append(piece)
        assert len(stack) <= 2, f"{piece} is nested too deep"


def _sort_slices(trace: Trace, slices: list[Slice]) -> None:
    for piece in slices:
        if piece.tid >= GIL_TRACK:
            trace.gil[piece.tid - GIL_TRACK].append(piece)
        elif piece.category == "task":
            trace.tasks.append(piece)
        elif piece.category == "native":
            trace.native.append(piece)
        elif piece.category == "spawn":
            trace.spawns.append(piece)
        else:
            assert piece.name == WAITING
            trace.waits.append(piece)


def _check_gil_tracks(trace: Trace) -> None:
    for tid, track in trace.gil.items():
        assert trace.thread_names[tid + GIL_TRACK] == "gil"
        assert trace.thread_names[tid].startswith("gilpool worker ")
        for piece in track:
            assert piece.name in ("held", "released", WAITING)
            assert isinstance(piece.args["sampled"], bool)
        for before, after in itertools.pairwise(track):
            assert before.end <= after.begin, f"{before} overlaps {after}"


def _check_tasks(trace: Trace) -> None:
    waits: dict[int, list[Slice]] = defaultdict(list)
    for wait in trace.waits:
        waits[wait.tid].append(wait)
    for task in trace.tasks:
        args = task.args
        assert args["outcome"] in OUTCOMES
        for name in ("queued_us", "gil_wait_us", "held_us", "released_us", "cpu_us"):
            assert args[name] is None or args[name] >= 0, (task, args)
        if args["cpu_us"] is not None:
            assert ns(args["cpu_us"]) <= task.end - task.begin
        waited = sum(
            wait.end - wait.begin
            for wait in _beginning_within(waits[task.tid], task.begin, task.end)
            if wait.end <= task.end
        )
        assert abs(ns(args["gil_wait_us"]) - waited) <= 2, (task, args)
        if args["held_us"] is not None:
            parts = (*(args[name] for name in SEEN), args.get("unseen_us", 0))
            assert abs(sum(map(ns, parts)) - (task.end - task.begin)) <= 3, (task, args)
    for native in trace.native:
        assert native.args["outcome"] in (*OUTCOMES, "ran")
    numbers = [task.args["task"] for task in trace.tasks + trace.native]
    assert len(numbers) == len(set(numbers)), "a task has two slices"


def _beginning_within(track: list[Slice], begin: int | None, end: int) -> list[Slice]:
    """Of slices in order those that begin at `begin` (None: the last one before `end`) or later."""
    last = bisect.bisect_left(track, end, key=_begin)
    first = max(0, last - 1) if begin is None else bisect.bisect_left(track, begin, key=_begin)
    return track[first:last]


def _begin(piece: Slice) -> int:
    return piece.begin


def _check_arrows(trace: Trace, events: list[Event], slices: list[Slice]) -> None:
    tracks: dict[int, list[Slice]] = defaultdict(list)
    for piece in slices:
        track = tracks[piece.tid]
        if not track or track[-1].end <= piece.begin:  # others are nested in it
            track.append(piece)
    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    ends = {event["id"]: event for event in events if event["ph"] == "f"}
    assert len(starts) == sum(event["ph"] == "s" for event in events), "two arrows have one id"
    assert len(ends) == sum(event["ph"] == "f" for event in events), "two arrows have one id"
    assert set(starts) == set(ends), "an arrow lacks an end"
    for number, start in starts.items():
        end = ends[number]
        assert start["ts"] <= end["ts"]
        assert end["bp"] == "e"
        for event in (start, end):
            when = ns(event["ts"])
            around = _beginning_within(tracks[event["tid"]], None, when + 1)[-1:]
            inside = any(when < piece.end for piece in around)
            assert inside, f"an arrow's end lies in no slice: {event}"
        trace.arrows[number] = (start, end)
    by_number = {task.args["task"]: task for task in trace.tasks + trace.native}
    for number, (_, end) in trace.arrows.items():
        task = by_number[number]
        assert end["tid"] == task.tid
        assert task.begin <= ns(end["ts"]) < task.end


def _check_async(trace: Trace, events: list[Event]) -> None:
    """Each async event begins once and ends once, later, and is known by category and id."""
    begins = {(event["cat"], event["id"]): event for event in events if event["ph"] == "b"}
    ends = {(event["cat"], event["id"]): event for event in events if event["ph"] == "e"}
    assert len(begins) == sum(event["ph"] == "b" for event in events), "two waits have one id"
    assert len(ends) == sum(event["ph"] == "e" for event in events), "two waits have one id"
    assert set(begins) == set(ends), "a wait lacks an end"
    numbers = {task.args["task"] for task in trace.tasks + trace.native}
    for key, begin in begins.items():
        end = ends[key]
        assert begin["name"] == end["name"]
        assert begin["cat"] == "wait"
        assert begin["ts"] <= end["ts"]
        assert begin["args"]["task"] == int(begin["id"], 16)
        assert begin["args"]["task"] not in numbers, "a task has two slices"
        assert begin["args"]["outcome"] in OUTCOMES
        times = ns(begin["ts"]), ns(end["ts"])
        wait = Slice(begin["name"], *times, begin["tid"], begin["cat"], begin["args"])
        trace.threadless.append(wait)


def _check_counters(trace: Trace, events: list[Event]) -> None:
    for event in events:
        if event["ph"] == "C":
            (value,) = event["args"].values()
            assert value >= 0, event
            series = trace.counters[event["name"]]
            assert not series or series[-1][0] <= ns(event["ts"]), "a counter goes back in time"
            series.append((ns(event["ts"]), value))
    assert set(trace.counters) <= {"queue depth", "busy", "runners"}
