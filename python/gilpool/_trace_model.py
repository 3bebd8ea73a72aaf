"""A trace as what happened: when each task ran, waited, and had the GIL.

Pure data; `_trace_records` makes it and `_trace_events` writes it. Times are integers,
nanoseconds on CLOCK_MONOTONIC.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

GilState = Literal["held", "released", "waiting"]


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
    """The call from begin to end, less what nobody saw; empty where nothing is known."""

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


@dataclass(slots=True)
class Wait:
    """A wait that needs no thread: a spawned `gilpool.sleep` or `wait_fd`."""

    number: int
    name: str
    spawner: int
    """The thread that set it going."""
    begin: int
    end: int
    """When its task learned that it is over."""
    outcome: str


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
    waits: list[Wait] = field(default_factory=list)
    """By begin."""
    spawns: list[tuple[int, int, int]] = field(default_factory=list)
    """When, on which thread, which task; by time."""
    cancelled: list[int] = field(default_factory=list)
    handed_back: list[tuple[int, Span]] = field(default_factory=list)
    """Waits for the GIL, with their threads, that led to no task: another runner went on."""
    moments: list[Moment] = field(default_factory=list)
    counters: list[Counters] = field(default_factory=list)
    looks: int = 0
