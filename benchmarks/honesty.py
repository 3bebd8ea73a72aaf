"""What a pool has to prove: who ran its calls, and that spawn does not wait for a blocking one."""

from __future__ import annotations

import collections
import math
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

from benchmarks.declare import Check, Outcome

#: How long the blocking task of `spawn_seconds` blocks.
BLOCK_S = 0.02

#: A pool that runs tasks in `spawn` is late every time, a busy machine only now and then.
ATTEMPTS = 5


def evidence_of(threads: Iterable[int]) -> dict[str, object]:
    """Evidence from calls that returned their `threading.get_native_id()`; asked by the caller."""
    counted = collections.Counter(threads)
    caller = threading.get_native_id()
    return {"calls": sum(counted.values()), "on_caller": counted[caller], "threads": len(counted)}


def calls_were_made(count: int) -> Check:
    """`count` calls returned who ran them."""

    def test(outcome: Outcome) -> str | None:
        made = outcome.evidence["calls"]
        return None if made == count else f"{made} calls were made"

    return Check(f"{count} calls told their thread", test)


def on_other_threads() -> Check:
    """None of the calls ran on the thread that spawned them."""

    def test(outcome: Outcome) -> str | None:
        own = outcome.evidence["on_caller"]
        return None if own == 0 else f"{own} calls ran on the caller's thread"

    return Check("no call ran on the caller's thread", test)


def on_the_caller() -> Check:
    """All calls ran on the caller's thread: the row is greenlets, not threads."""

    def test(outcome: Outcome) -> str | None:
        others = cast(int, outcome.evidence["calls"]) - cast(int, outcome.evidence["on_caller"])
        return None if others == 0 else f"{others} calls ran on other threads"

    return Check("greenlets ran on the caller's thread", test)


def checks_for(count: int, *, threaded: bool) -> tuple[Check, ...]:
    """The two checks on who ran `count` calls, of threads or of greenlets."""
    return (calls_were_made(count), on_other_threads() if threaded else on_the_caller())


def spawn_seconds(
    spawn: Callable[[Callable[[], Any]], Any], collect: Callable[[Iterable[Any]], list[Any]]
) -> float:
    """How long two spawns take of which the first blocks; the best of a few attempts."""
    shortest = math.inf
    for _ in range(ATTEMPTS):
        started = time.perf_counter()
        handles = [spawn(_block), spawn(threading.get_native_id)]
        shortest = min(shortest, time.perf_counter() - started)
        collect(handles)
        if shortest < BLOCK_S / 2:
            break
    return shortest


def _block() -> None:
    time.sleep(BLOCK_S)


def spawn_returns_at_once() -> Check:
    """Spawning beside a task that blocks took less than half of what it blocks."""

    def test(outcome: Outcome) -> str | None:
        seconds = cast(float, outcome.evidence["spawn_seconds"])
        late = seconds >= BLOCK_S / 2
        return f"two spawns took {seconds:.4f} s, the block is {BLOCK_S:g} s" if late else None

    return Check("a blocking task does not delay spawn", test)
