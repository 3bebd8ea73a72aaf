"""The experiment: calls that release or hold the GIL, beside the seed's and gevent's.

Five calls each of the seed's Cython functions on `threading.Thread`, and of gilpool's on
`threading.Thread` and on `gilpool.Pool`; then ten sleepers, `time.sleep` on `gilpool.Pool` beside
`gevent.sleep` on `gevent.pool.Pool`.
"""

from __future__ import annotations

import functools
import importlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.declare import (
    Benchmark,
    Check,
    Contestant,
    Group,
    Outcome,
    Requirement,
    Size,
    Target,
)
from benchmarks.evidence import (
    CallLog,
    calls_of,
    each_lasted,
    off_the_caller,
    on_distinct_threads,
    ran,
)
from benchmarks.machine import has_gil
from benchmarks.seed.build import CYTHON, load_seed

CALLS = 5
SLEEPERS = 10

CALL_MS = {Size.QUICK: 200, Size.DEFAULT: 500, Size.FULL: 5000}
SLEEP_S = {Size.QUICK: 0.3, Size.DEFAULT: 1.0, Size.FULL: 1.0}

GILPOOL = Requirement("gilpool", "pip install .")
GEVENT = Requirement("gevent.pool", "pip install gevent")

SEED = "seed, threading.Thread"
OUR_THREADS = "gilpool, threading.Thread"
OUR_POOL = "gilpool, Pool"
GEVENT_POOL = "gevent, Pool"

Sleep = Callable[[int], object]


def on_threads(sleep: Callable[[], Sleep], ms: int) -> Outcome:
    """Five calls, each on a `threading.Thread` of its own."""
    log, call = CallLog(), sleep()
    threads = [threading.Thread(target=log.run, args=(call, ms)) for _ in range(CALLS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return log.outcome()


def on_pool(sleep: Callable[[], Sleep], ms: int) -> Outcome:
    """The same five calls, spawned on one `gilpool.Pool`."""
    import gilpool

    log, call = CallLog(), sleep()
    pool = gilpool.Pool()
    tasks = [pool.spawn(log.run, call, ms) for _ in range(CALLS)]
    pool.join()
    for task in tasks:
        task.get()
    return log.outcome()


def gilpool_sleepers(seconds: float) -> Outcome:
    """Ten `time.sleep` tasks on `gilpool.Pool`."""
    import gilpool

    log = CallLog()
    pool = gilpool.Pool()
    for _ in range(SLEEPERS):
        pool.spawn(log.run, time.sleep, seconds)
    pool.join()
    return log.outcome()


def gevent_sleepers(seconds: float) -> Outcome:
    """Ten `gevent.sleep` greenlets on `gevent.pool.Pool`, as gevent's classic example has it."""
    gevent: Any = importlib.import_module("gevent")
    log = CallLog()
    pool = importlib.import_module("gevent.pool").Pool(SLEEPERS)
    for _ in range(SLEEPERS):
        pool.spawn(log.run, gevent.sleep, seconds)
    pool.join()
    return log.outcome()


def groups(size: Size) -> Iterator[Group]:
    """Released calls, held calls, sleepers."""
    yield _calls(size, held=False)
    yield _calls(size, held=True)
    yield _sleepers(size)


def _calls(size: Size, *, held: bool) -> Group:
    """Five calls of one of the two functions, three ways."""
    ms = CALL_MS[size]
    name = "sleep_gil" if held else "sleep_nogil"
    serial = held and has_gil()
    ideal = ms / 1000 * (CALLS if serial else 1)

    def of_seed() -> Sleep:
        return getattr(load_seed(), name)  # type: ignore[no-any-return]

    def of_gilpool() -> Sleep:
        return getattr(importlib.import_module("gilpool"), name)  # type: ignore[no-any-return]

    threads: tuple[Check, ...] = (ran(CALLS), each_lasted(ms / 1000))
    # Calls that hold the GIL cannot overlap, so a pool is free to run them on one thread.
    pool = (*threads, off_the_caller() if serial else on_distinct_threads(CALLS))
    threads = (*threads, on_distinct_threads(CALLS))
    work = functools.partial
    timeout = 30 + 4 * ideal
    return Group(
        title=f"{'held' if held else 'released'}: {CALLS} calls of {name}({ms})",
        contestants=(
            Contestant(
                SEED,
                work(on_threads, of_seed, ms),
                requires=(CYTHON,),
                prepare=load_seed,
                checks=threads,
                timeout=timeout,
            ),
            Contestant(
                OUR_THREADS,
                work(on_threads, of_gilpool, ms),
                requires=(GILPOOL,),
                ours=True,
                checks=threads,
                timeout=timeout,
            ),
            Contestant(
                OUR_POOL,
                work(on_pool, of_gilpool, ms),
                requires=(GILPOOL,),
                ours=True,
                checks=pool,
                timeout=timeout,
            ),
        ),
        peer=SEED,
        ideal=ideal,
        targets=_targets(size, ideal, serial=serial),
        note=None if held == serial else "free-threaded build: no GIL to hold, the calls overlap",
    )


def _targets(size: Size, ideal: float, *, serial: bool) -> tuple[Target, ...]:
    """At full size the published figures, at others bounds that a busy machine can keep."""
    if size is Size.FULL:
        low, high = (25.0, 25.01) if serial else (5.0, 5.002)
        return tuple(
            Target(name, at_least=low, at_most=high, label="s") for name in (OUR_THREADS, OUR_POOL)
        )
    low = 0.9 if serial else 1.0
    return tuple(
        Target(name, at_least=low, at_most=1.3, versus=ideal, label=f"of the ideal {ideal:g} s")
        for name in (OUR_THREADS, OUR_POOL)
    )


def _sleepers(size: Size) -> Group:
    """Ten sleepers on either pool, each in a fresh process: both start cold."""
    seconds = SLEEP_S[size]
    arguments = {"seconds": seconds}
    module = "benchmarks.experiment"
    return Group(
        title=f"{SLEEPERS} sleepers of {seconds:g} s",
        contestants=(
            Contestant(
                GEVENT_POOL,
                f"{module}:gevent_sleepers",
                isolated=True,
                arguments=arguments,
                requires=(GEVENT,),
                checks=(ran(SLEEPERS), _one_thread()),
            ),
            Contestant(
                OUR_POOL,
                f"{module}:gilpool_sleepers",
                isolated=True,
                arguments=arguments,
                requires=(GILPOOL,),
                ours=True,
                checks=(ran(SLEEPERS), each_lasted(seconds), on_distinct_threads(SLEEPERS)),
            ),
        ),
        peer=GEVENT_POOL,
        ideal=seconds,
        targets=(
            Target(
                OUR_POOL,
                at_least=1.0,
                at_most=1.3,
                versus=seconds,
                label=f"of the ideal {seconds:g} s",
            ),
        ),
    )


def _one_thread() -> Check:
    """All greenlets run on the caller's thread: the peer is gevent's loop, not a thread pool."""

    def test(outcome: Outcome) -> str | None:
        others = {call.thread for call in calls_of(outcome)} - {outcome.evidence["caller"]}
        return f"{len(others)} other threads" if others else None

    return Check("greenlets ran on the caller's thread", test)


BENCHMARK = Benchmark(
    name="experiment",
    title="The lock-release experiment",
    groups=groups,
    rounds={Size.QUICK: 3, Size.DEFAULT: 5, Size.FULL: 3},
    packages=("gilpool", "cython", "gevent"),
    common_scale=True,
)
