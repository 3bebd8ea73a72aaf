"""How a contestant proves what really ran: a log of calls, and ready-made checks on it.

A `CallLog` may be used from any number of threads at once: `list.append` is atomic, with a GIL or
without.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from benchmarks.declare import Check, Outcome


class Call(NamedTuple):
    """One call as it was seen by the thread that made it."""

    thread: int
    started_ns: int
    ended_ns: int


class CallLog:
    """Records who ran each call, and when; `outcome()` hands it to the checks.

    Threads are told apart by the kernel's id, which is not reused soon; `threading.get_ident`
    may return the same number for two threads that follow each other.
    """

    def __init__(self) -> None:
        self._caller = threading.get_native_id()
        self._calls: list[Call] = []

    def run(self, function: Callable[..., object], /, *args: object) -> None:
        """Calls the function and records the call, also when it raises."""
        started = time.monotonic_ns()
        try:
            function(*args)
        finally:
            self._calls.append(Call(threading.get_native_id(), started, time.monotonic_ns()))

    def outcome(self, figures: Mapping[str, float] | None = None) -> Outcome:
        """The log as evidence, with figures of the contestant's own if it has any."""
        evidence = {"caller": self._caller, "calls": [list(call) for call in self._calls]}
        return Outcome(figures=dict(figures or {}), evidence=evidence)


def calls_of(outcome: Outcome) -> list[Call]:
    """The calls that a `CallLog` put into the evidence."""
    return [Call(*call) for call in cast(Sequence[Any], outcome.evidence["calls"])]


def ran(count: int) -> Check:
    """Exactly `count` calls were made."""

    def test(outcome: Outcome) -> str | None:
        made = len(calls_of(outcome))
        return None if made == count else f"{made} calls were made"

    return Check(f"{count} calls were made", test)


def off_the_caller() -> Check:
    """No call ran on the thread that asked for it."""

    def test(outcome: Outcome) -> str | None:
        own = sum(call.thread == outcome.evidence["caller"] for call in calls_of(outcome))
        return None if own == 0 else f"{own} calls ran on the caller's thread"

    return Check("no call ran on the caller's thread", test)


def on_distinct_threads(count: int) -> Check:
    """The calls ran on `count` different OS threads, none of them the caller's."""

    def test(outcome: Outcome) -> str | None:
        threads = {call.thread for call in calls_of(outcome)} - {outcome.evidence["caller"]}
        return None if len(threads) == count else f"{len(threads)} threads"

    return Check(f"{count} OS threads other than the caller's", test)


def each_lasted(seconds: float) -> Check:
    """No call returned early, as a sleep cut short by a signal or by a clever pool would."""

    def test(outcome: Outcome) -> str | None:
        lasted = [(call.ended_ns - call.started_ns) / 1e9 for call in calls_of(outcome)]
        shortest = min(lasted, default=0.0)
        return None if shortest >= seconds else f"a call returned after {shortest:.6f} s"

    return Check(f"each call lasted {seconds:g} s", test)
