"""A trace file as its picture and its summary want it: tasks, lanes, counters."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from gilpool._cli.exits import USAGE, CommandError
from gilpool._trace_events import GIL_TRACK, WAITING

State = Literal["held", "released", "waiting", "unseen"]
"""What a thread has of the GIL in a task; unseen: too short for a look, or the machine too busy."""

_STATES: Final[dict[str, State]] = {"held": "held", "released": "released", WAITING: "waiting"}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Part of a lane; seconds since the trace began."""

    begin: float
    end: float
    state: State


@dataclass(frozen=True, slots=True)
class TaskSlice:
    """A task that ran; seconds."""

    name: str
    begin: float
    end: float
    native: bool
    queued: float | None
    gil_wait: float | None
    held: float | None
    released: float | None
    unseen: float
    """Of a task that was looked at otherwise."""
    cpu: float | None
    outcome: str


@dataclass(slots=True)
class Lane:
    """A thread that ran tasks."""

    name: str
    tasks: list[TaskSlice] = field(default_factory=list)
    gil: list[Stretch] = field(default_factory=list)

    def stretches(self) -> list[Stretch]:
        """The lane's tasks by what is known of the GIL, in order."""
        unseen = [
            Stretch(task.begin, task.end, "released" if task.native else "unseen")
            for task in self.tasks
            if task.held is None or task.unseen
        ]
        return sorted(self.gil + unseen, key=lambda stretch: stretch.begin)


@dataclass(slots=True)
class TraceFile:
    """What a file written by `gilpool.gil.trace` says."""

    seconds: float
    dropped: int
    lanes: list[Lane]
    """In the order of their first task."""
    counters: dict[str, list[tuple[float, float]]]
    program: str
    waits: list[TaskSlice]
    """Waits that needed no thread, in no lane therefore."""

    @property
    def tasks(self) -> list[TaskSlice]:
        return [task for lane in self.lanes for task in lane.tasks]


def read(path: Path) -> TraceFile:
    """Reads a trace.

    Raises:
        CommandError: There is none, or it is another program's.
    """
    try:
        data = path.read_bytes()
        document = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
        return _understand(document)
    except OSError as error:
        raise CommandError(USAGE, f"cannot read {str(path)!r}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, EOFError):
        raise CommandError(USAGE, f"{str(path)!r} is no trace written by gilpool") from None


def _understand(document: dict[str, Any]) -> TraceFile:
    other = document["otherData"]
    zero = other["begin_us"]
    names: dict[int, str] = {}
    program = ""
    lanes: dict[int, Lane] = defaultdict(lambda: Lane(""))
    counters: dict[str, list[tuple[float, float]]] = defaultdict(list)
    waits: dict[str, dict[str, Any]] = {}
    ends: dict[str, float] = {}
    for event in document["traceEvents"]:
        phase = event["ph"]
        if phase == "X":
            _add_slice(lanes, event, zero)
        elif phase == "C":
            (value,) = event["args"].values()
            counters[event["name"]].append(((event["ts"] - zero) / 1e6, value))
        elif phase == "M" and event["name"] == "thread_name":
            names[event["tid"]] = event["args"]["name"]
        elif phase == "M" and event["name"] == "process_name":
            program = event["args"]["name"]
        elif phase == "b":
            waits[event["id"]] = event
        elif phase == "e":
            ends[event["id"]] = event["ts"]
    for tid, lane in lanes.items():
        lane.name = names[tid]
        lane.tasks.sort(key=lambda task: task.begin)
    with_tasks = sorted(
        (lane for lane in lanes.values() if lane.tasks), key=lambda lane: lane.tasks[0].begin
    )
    seconds = (other["end_us"] - zero) / 1e6
    return TraceFile(
        seconds,
        other["dropped_events"],
        with_tasks,
        dict(counters),
        program,
        [_wait(event, ends[number], zero) for number, event in waits.items()],
    )


def _wait(event: dict[str, Any], end: float, zero: float) -> TaskSlice:
    return TaskSlice(
        name=event["name"],
        begin=(event["ts"] - zero) / 1e6,
        end=(end - zero) / 1e6,
        native=True,
        queued=None,
        gil_wait=None,
        held=None,
        released=None,
        unseen=0.0,
        cpu=None,
        outcome=event["args"]["outcome"],
    )


def _add_slice(lanes: dict[int, Lane], event: dict[str, Any], zero: float) -> None:
    begin = (event["ts"] - zero) / 1e6
    end = begin + event["dur"] / 1e6
    if event["tid"] >= GIL_TRACK:
        stretch = Stretch(begin, end, _STATES[event["name"]])
        lanes[event["tid"] - GIL_TRACK].gil.append(stretch)
    elif event["cat"] in ("task", "native"):
        args = event["args"]

        def seconds(name: str) -> float | None:
            value = args[name]
            return None if value is None else value / 1e6

        lanes[event["tid"]].tasks.append(
            TaskSlice(
                name=event["name"],
                begin=begin,
                end=end,
                native=event["cat"] == "native",
                queued=seconds("queued_us"),
                gil_wait=seconds("gil_wait_us"),
                held=seconds("held_us"),
                released=seconds("released_us"),
                unseen=args.get("unseen_us", 0.0) / 1e6,
                cpu=seconds("cpu_us"),
                outcome=args["outcome"],
            )
        )
