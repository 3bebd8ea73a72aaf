"""gilpool and its peers behind the same few words, so that one workload fits them all.

The words are the pools' own bound methods: nothing of ours runs per task. A pool opened here may be
used by one thread at a time, but for `spawn` and `collect` from within its tasks.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import importlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from typing import Any

from benchmarks.declare import (
    Check,
    Contestant,
    Outcome,
    Requirement,
    Size,
    Tuned,
    UnavailableError,
)
from benchmarks.honesty import spawn_returns_at_once, spawn_seconds
from benchmarks.measure import SystemClock, measure

GILPOOL = Requirement("gilpool", "pip install .")
GEVENT = Requirement("gevent.pool", "pip install gevent")
GEVENT_THREADS = Requirement("gevent.threadpool", "pip install gevent")
TBB = Requirement("tbb", "pip install tbb4py")
BETAPOOL = Requirement("betapool", "pip install betapool")

#: Distributions whose versions belong beside the figures.
PACKAGES = ("gilpool", "gevent", "tbb4py", "betapool")

#: Widths among which a peer is tuned for tasks that are next to nothing.
WIDTHS = {Size.QUICK: (1, 4), Size.DEFAULT: (1, 2, 4, 8), Size.FULL: (1, 2, 4, 8, 32, 128, 512)}

Task = Callable[[], Any]


@dataclass(frozen=True)
class OpenPool:
    """A pool that exists: how to start a call, how to fetch what it returned, how to end."""

    pool: Any
    #: Starts a call without arguments and returns its handle.
    spawn: Callable[[Task], Any]
    #: Waits for handles in their order and returns what their calls returned.
    collect: Callable[[Iterable[Any]], list[Any]]
    #: Waits until everything that was spawned has ended; nothing may be spawned afterwards.
    join: Callable[[], object]
    close: Callable[[], object]
    #: What blocks in this pool's own way.
    sleep: Callable[[float], object] = time.sleep

    def method(self, name: str) -> Callable[..., Any]:
        """The pool's method of that name.

        Raises:
            UnavailableError: This version of the pool has none.
        """
        try:
            method: Callable[..., Any] = getattr(self.pool, name)
        except AttributeError:
            kind = type(self.pool).__name__
            raise UnavailableError(f"not there yet: this {kind} has no {name}()") from None
        return method


@dataclass(frozen=True)
class Kind:
    """A way to have a pool."""

    name: str
    open: Callable[[], OpenPool]
    requires: tuple[Requirement, ...] = ()
    #: How many calls overlap at most, where that is fixed.
    width: int | None = None
    ours: bool = False
    #: Whether calls run on other threads than the caller's; gevent's greenlets do not.
    threaded: bool = True


def get_all(handles: Iterable[Any]) -> list[Any]:
    """What the handles' calls returned, for pools whose word is `get`."""
    return [handle.get() for handle in handles]


def result_all(handles: Iterable[Any]) -> list[Any]:
    """What the handles' calls returned, for pools whose word is `result`."""
    return [handle.result() for handle in handles]


def gilpool_pool() -> Kind:
    """`gilpool.Pool()`, default settings."""

    def opened() -> OpenPool:
        pool = importlib.import_module("gilpool").Pool()
        return OpenPool(pool, pool.spawn, get_all, join=pool.join, close=pool.join)

    return Kind("gilpool, Pool", opened, requires=(GILPOOL,), ours=True)


def executor(width: int) -> Kind:
    """The standard library's `ThreadPoolExecutor`; it has no join but its shutdown."""

    def opened() -> OpenPool:
        pool = concurrent.futures.ThreadPoolExecutor(width)
        return OpenPool(pool, pool.submit, result_all, join=pool.shutdown, close=pool.shutdown)

    return Kind(f"ThreadPoolExecutor({width})", opened, width=width)


def thread_pool(width: int) -> Kind:
    """The standard library's other one: `multiprocessing.pool.ThreadPool`."""

    def opened() -> OpenPool:
        pool = ThreadPool(width)

        def join() -> None:
            pool.close()
            pool.join()

        return OpenPool(pool, pool.apply_async, get_all, join=join, close=join)

    return Kind(f"multiprocessing ThreadPool({width})", opened, width=width)


def gevent_pool() -> Kind:
    """gevent's `Pool` without a limit: greenlets on the caller's thread."""

    def opened() -> OpenPool:
        pool = importlib.import_module("gevent.pool").Pool()
        sleep = importlib.import_module("gevent").sleep
        return OpenPool(pool, pool.spawn, get_all, join=pool.join, close=pool.join, sleep=sleep)

    return Kind("gevent, Pool", opened, requires=(GEVENT,), threaded=False)


def gevent_thread_pool(width: int) -> Kind:
    """gevent's `ThreadPool`, native threads under its event loop; spawn waits when it is full."""

    def opened() -> OpenPool:
        pool = importlib.import_module("gevent.threadpool").ThreadPool(width)
        return OpenPool(pool, pool.spawn, get_all, join=pool.join, close=pool.kill)

    return Kind(f"gevent, ThreadPool({width})", opened, requires=(GEVENT_THREADS,), width=width)


def betapool_pool() -> Kind:
    """betapool's executor with its default settings: 4 workers, more as it sees fit."""

    def opened() -> OpenPool:
        pool = importlib.import_module("betapool").AdaptiveThreadPoolExecutor()
        return OpenPool(pool, pool.submit, result_all, join=pool.shutdown, close=pool.shutdown)

    return Kind("betapool", opened, requires=(BETAPOOL,))


PoolWork = Callable[[OpenPool], Outcome]


class _Warm:
    """A pool that lives as long as its group, so that rounds find its threads started."""

    def __init__(self, kind: Kind, work: PoolWork) -> None:
        self._kind, self._work = kind, work
        self._pool: OpenPool | None = None

    def open(self) -> None:
        self._pool = self._kind.open()

    def run(self) -> Outcome:
        assert self._pool is not None, "the harness opens a pool before its first run"
        return _witnessed(self._kind, self._pool, self._work)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def _witnessed(kind: Kind, pool: OpenPool, work: PoolWork) -> Outcome:
    """Runs the work; our own pool is then asked whether a blocking task delays its spawn."""
    done = work(pool)
    if not kind.ours:
        return done
    seconds = spawn_seconds(pool.spawn, pool.collect)
    return Outcome(done.figures, {**done.evidence, "spawn_seconds": seconds})


def contestant(
    kind: Kind,
    work: PoolWork,
    *,
    name: str | None = None,
    checks: tuple[Check, ...] = (),
    fresh: bool = False,
) -> Contestant:
    """The kind of pool doing the work, which reports the time it took as its figure `wall`.

    The pool is warm (opened before the first round, closed after the last), or with `fresh` a new
    one each round; opening, closing and the proof of honesty are outside what the work times.
    """
    warm = _Warm(kind, work)

    def once() -> Outcome:
        pool = kind.open()
        try:
            return _witnessed(kind, pool, work)
        finally:
            pool.close()

    return Contestant(
        name or kind.name,
        once if fresh else warm.run,
        requires=kind.requires,
        prepare=None if fresh else warm.open,
        close=None if fresh else warm.close,
        checks=(*checks, spawn_returns_at_once()) if kind.ours else checks,
        ours=kind.ours,
    )


def tuned(
    name: str,
    kinds: Iterable[Kind],
    work: PoolWork,
    *,
    checks: tuple[Check, ...] = (),
    fresh: bool = False,
    rounds: int = 2,
) -> Tuned:
    """The best of several widths of one pool, found in a first pass."""
    candidates = tuple(
        contestant(kind, work, name=f"{kind.width} workers", checks=checks, fresh=fresh)
        for kind in kinds
    )
    return Tuned(name, candidates, rounds)


def on_tbb(work: PoolWork) -> Outcome:
    """The work on tbb4py's `Pool`, once to warm it up and once for the figures.

    To be called in a process of its own, which it ends without the interpreter's finalisation: one
    exit in ten aborts while oneTBB's workers still come back from Python.
    """
    atexit.register(os._exit, 0)
    # Its own join would run tasks on the caller's thread, so it comes after their results.
    pool = importlib.import_module("tbb").Pool()
    opened = OpenPool(pool, pool.apply_async, get_all, join=pool.join, close=pool.join)
    work(opened)
    done = measure(lambda: work(opened), SystemClock())
    opened.close()
    return Outcome(done.figures, done.outcome.evidence)


def tbb_contestant(
    run: str, arguments: Mapping[str, object], checks: tuple[Check, ...]
) -> Contestant:
    """tbb4py's `Pool`, isolated; `run` names a function that passes its work to `on_tbb`."""
    return Contestant(
        "tbb4py, Pool",
        run,
        isolated=True,
        arguments=arguments,
        requires=(TBB,),
        checks=checks,
    )
