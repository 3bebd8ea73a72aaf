"""Many calls that block for a second, all at once: `time.sleep(1)` on threads, beside greenlets."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.declare import Benchmark, Check, Contestant, Group, Outcome, Size, Target
from benchmarks.evidence import CallLog, calls_of, each_lasted, off_the_caller, ran
from benchmarks.pools import GEVENT, GILPOOL, PACKAGES

COUNTS = {
    Size.QUICK: (10, 200),
    Size.DEFAULT: (10, 1_000, 5_000, 10_000),
    Size.FULL: (10, 1_000, 5_000, 10_000),
}
SECONDS = {Size.QUICK: 0.2, Size.DEFAULT: 1.0, Size.FULL: 1.0}

#: The count that has a target, and the target: seconds for all of them.
TARGET_COUNT, TARGET_S = 10_000, 2.0

OURS = "gilpool, Pool"
GEVENT_POOL = "gevent, Pool"
THREADS = "threading.Thread"


def on_gilpool(count: int, seconds: float) -> Outcome:
    """`time.sleep` tasks on `gilpool.Pool`."""
    gilpool: Any = importlib.import_module("gilpool")
    log = CallLog()
    started = time.perf_counter()
    pool = gilpool.Pool()
    for _ in range(count):
        pool.spawn(log.run, time.sleep, seconds)
    spawned = time.perf_counter() - started
    pool.join()
    wall = time.perf_counter() - started
    return log.outcome({"wall": wall, "spawning": spawned})


def on_gevent(count: int, seconds: float) -> Outcome:
    """`gevent.sleep` greenlets on `gevent.pool.Pool`."""
    gevent: Any = importlib.import_module("gevent")
    log = CallLog()
    started = time.perf_counter()
    pool = importlib.import_module("gevent.pool").Pool()
    for _ in range(count):
        pool.spawn(log.run, gevent.sleep, seconds)
    pool.join()
    return log.outcome({"wall": time.perf_counter() - started})


def on_threads(count: int, seconds: float) -> Outcome:
    """`time.sleep` on a `threading.Thread` each."""
    log = CallLog()
    started = time.perf_counter()
    threads = [threading.Thread(target=log.run, args=(time.sleep, seconds)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return log.outcome({"wall": time.perf_counter() - started})


def groups(size: Size) -> Iterator[Group]:
    """A comparison per number of sleepers."""
    for count in COUNTS[size]:
        yield _group(count, SECONDS[size])


def _group(count: int, seconds: float) -> Group:
    arguments = {"count": count, "seconds": seconds}
    module = "benchmarks.sleepers"
    slept: tuple[Check, ...] = (ran(count), each_lasted(seconds), off_the_caller())
    ours: tuple[Check, ...] = (*slept, _spawning_took_less_than(seconds, count))
    targets = (Target(OURS, at_most=TARGET_S, label="s"),) if count == TARGET_COUNT else ()
    return Group(
        title=f"{count:,} sleepers of {seconds:g} s",
        contestants=(
            Contestant(
                GEVENT_POOL,
                f"{module}:on_gevent",
                isolated=True,
                arguments=arguments,
                requires=(GEVENT,),
                checks=(ran(count), _on_the_caller()),
            ),
            Contestant(
                THREADS,
                f"{module}:on_threads",
                isolated=True,
                arguments=arguments,
                checks=slept,
                timeout=300,
            ),
            Contestant(
                OURS,
                f"{module}:on_gilpool",
                isolated=True,
                arguments=arguments,
                requires=(GILPOOL,),
                checks=ours,
                ours=True,
                timeout=300,
            ),
        ),
        peer=GEVENT_POOL,
        ideal=seconds,
        targets=targets,
        note="gevent's sleepers are greenlets on one thread and call gevent.sleep",
    )


def _on_the_caller() -> Check:
    def test(outcome: Outcome) -> str | None:
        others = {call.thread for call in calls_of(outcome)} - {outcome.evidence["caller"]}
        return f"{len(others)} other threads" if others else None

    return Check("greenlets ran on the caller's thread", test)


def _spawning_took_less_than(seconds: float, count: int) -> Check:
    """Spawning waited for no sleeper; a thousand spawns may take half a sleep, whatever it is."""
    bound = seconds * max(0.5, count / 2000)

    def test(outcome: Outcome) -> str | None:
        took = outcome.figures["spawning"]
        return None if took < bound else f"spawning took {took:.3f} s"

    return Check(f"spawning took less than {bound:g} s", test)


BENCHMARK = Benchmark(
    name="sleepers",
    title="Calls that block for a second, all at once",
    groups=groups,
    rounds={Size.QUICK: 1, Size.DEFAULT: 3, Size.FULL: 5},
    packages=PACKAGES,
)
