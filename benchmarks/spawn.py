"""Spawning empty callables and joining them, and what a queued one costs in memory."""

from __future__ import annotations

import ctypes
import gc
import itertools
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator

from benchmarks.declare import (
    Benchmark,
    Check,
    Contestant,
    Group,
    Metric,
    Outcome,
    Size,
    Target,
)
from benchmarks.honesty import checks_for, evidence_of
from benchmarks.pools import (
    PACKAGES,
    WIDTHS,
    Kind,
    OpenPool,
    contestant,
    executor,
    gevent_pool,
    gevent_thread_pool,
    gilpool_pool,
    thread_pool,
    tuned,
)

TASKS = {Size.QUICK: 2_000, Size.DEFAULT: 100_000, Size.FULL: 100_000}

#: Every so many calls, one tells its thread; it is as cheap as an empty one.
STRIDE = 500

EXECUTOR = "ThreadPoolExecutor"
OURS = "gilpool, Pool"
GEVENT_POOL = "gevent, Pool"

US_EACH = Metric("us_each", "us each")
US_SPAWN = Metric("us_spawn", "us, spawn alone")
PER_SECOND = Metric("rate", "million tasks/s", 1e-6, higher_is_better=True)
BYTES_EACH = Metric("bytes_each", "bytes each", digits=0)


def empty() -> None:
    """The empty callable."""


def thread_or_empty(number: int) -> int | None:
    """For `spawn_many`, which passes an item: who ran it, every so often."""
    return None if number % STRIDE else threading.get_native_id()


def spawn_and_join(pool: OpenPool, tasks: int) -> Outcome:
    """Spawns the tasks one by one and joins the pool; handles are dropped, but for the tellers'."""
    spawn = pool.spawn
    tellers = []
    started = time.perf_counter()
    for _ in range(tasks // STRIDE):
        for _ in range(STRIDE - 1):
            spawn(empty)
        tellers.append(spawn(threading.get_native_id))
    spawned = time.perf_counter()
    pool.join()
    ended = time.perf_counter()
    return _outcome(tasks, started, spawned, ended, pool.collect(tellers))


def spawn_and_get(pool: OpenPool, tasks: int) -> Outcome:
    """Spawns the tasks, keeps every handle and fetches every result: what the idiom costs."""
    spawn = pool.spawn
    call = threading.get_native_id
    started = time.perf_counter()
    handles = [spawn(call) for _ in itertools.repeat(None, tasks)]
    spawned = time.perf_counter()
    threads = pool.collect(handles)
    return _outcome(tasks, started, spawned, time.perf_counter(), threads)


def spawn_many_and_join(pool: OpenPool, tasks: int) -> Outcome:
    """The same number of tasks in one call of `spawn_many`."""
    spawn_many = pool.method("spawn_many")
    started = time.perf_counter()
    handles = spawn_many(thread_or_empty, range(tasks))
    spawned = time.perf_counter()
    pool.join()
    ended = time.perf_counter()
    return _outcome(tasks, started, spawned, ended, pool.collect(handles[::STRIDE]))


def _outcome(
    tasks: int, started: float, spawned: float, ended: float, threads: list[int]
) -> Outcome:
    wall = ended - started
    figures = {
        "wall": wall,
        "us_each": wall / tasks * 1e6,
        "us_spawn": (spawned - started) / tasks * 1e6,
        "rate": tasks / wall,
    }
    return Outcome(figures, evidence_of(threads))


def groups(size: Size) -> Iterator[Group]:
    """Time with handles dropped, time with every result fetched, memory."""
    yield _time(size)
    yield _results(size)
    yield _memory(size)


def _time(size: Size) -> Group:
    tasks = TASKS[size]

    def work(pool: OpenPool) -> Outcome:
        return spawn_and_join(pool, tasks)

    def work_many(pool: OpenPool) -> Outcome:
        return spawn_many_and_join(pool, tasks)

    def entry(kind: Kind) -> Contestant:
        checks = checks_for(tasks // STRIDE, threaded=kind.threaded)
        return contestant(kind, work, checks=checks, fresh=True)

    ours = gilpool_pool()
    on_threads = checks_for(tasks // STRIDE, threaded=True)
    return Group(
        title=f"spawn + join, {tasks:,} empty callables",
        contestants=(
            tuned(
                EXECUTOR, map(executor, WIDTHS[size]), work, checks=on_threads, fresh=True, rounds=1
            ),
            entry(thread_pool(1)),
            entry(gevent_pool()),
            entry(gevent_thread_pool(1)),
            entry(ours),
            contestant(ours, work_many, name=f"{OURS}.spawn_many", checks=on_threads, fresh=True),
        ),
        peer=EXECUTOR,
        metrics=(PER_SECOND, US_EACH, US_SPAWN),
        targets=()
        if size is Size.QUICK
        else (
            Target(OURS, at_most=0.3, metric="us_each", label="us"),
            Target(OURS, at_least=50, versus=EXECUTOR, metric="rate"),
            Target(OURS, at_least=50, versus=GEVENT_POOL, metric="rate"),
        ),
        note="gevent's Pool runs greenlets on the caller's thread; the others start native threads",
    )


def _results(size: Size) -> Group:
    tasks = TASKS[size]

    def work(pool: OpenPool) -> Outcome:
        return spawn_and_get(pool, tasks)

    def entry(kind: Kind) -> Contestant:
        checks = checks_for(tasks, threaded=kind.threaded)
        return contestant(kind, work, checks=checks, fresh=True)

    return Group(
        title=f"spawn, then get of every result, {tasks:,} callables that return their thread's id",
        contestants=(
            tuned(
                EXECUTOR,
                map(executor, WIDTHS[size]),
                work,
                checks=checks_for(tasks, threaded=True),
                fresh=True,
                rounds=1,
            ),
            entry(gevent_pool()),
            entry(gilpool_pool()),
        ),
        peer=EXECUTOR,
        metrics=(PER_SECOND, US_EACH, US_SPAWN),
    )


KINDS: dict[str, Callable[[], Kind]] = {
    EXECUTOR: lambda: executor(1),
    "multiprocessing ThreadPool": lambda: thread_pool(1),
    GEVENT_POOL: gevent_pool,
    OURS: gilpool_pool,
}


def queued_bytes(kind: str, tasks: int) -> Outcome:
    """Resident memory per queued task, in a process of its own, handles dropped.

    A pool of one worker has a task that blocks it. The others' workers do not get the GIL while the
    queue fills and the memory is read: switching is put off, and neither gives the GIL up.
    """
    chosen = KINDS[kind]()
    pool = chosen.open()
    ran: list[int] = []
    gate = threading.Event()

    def tell() -> None:
        ran.append(threading.get_native_id())

    pool.collect([pool.spawn(threading.get_native_id)])
    if chosen.width is not None:
        pool.spawn(gate.wait)
    interval = sys.getswitchinterval()
    with ResidentMemory() as memory:
        gc.collect()
        memory.trim()
        sys.setswitchinterval(600.0)
        try:
            before = memory.read()
            for _ in itertools.repeat(None, tasks):
                pool.spawn(tell)
            held = memory.read() - before
            early = len(ran)
        finally:
            sys.setswitchinterval(interval)
    gate.set()
    pool.join()
    figures = {"bytes_each": held / max(tasks - early, 1)}
    return Outcome(figures, {**evidence_of(ran), "early": early})


class ResidentMemory:
    """This process's resident memory, read without letting the GIL go."""

    def __init__(self) -> None:
        # Unlike CDLL, PyDLL keeps the GIL during the call; os.pread would release it.
        self._libc = ctypes.PyDLL(None)
        self._buffer = ctypes.create_string_buffer(128)

    def __enter__(self) -> ResidentMemory:
        self._file = open("/proc/self/statm", "rb", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def trim(self) -> None:
        """Gives free heap back, so that growth shows as growth."""
        trim = getattr(self._libc, "malloc_trim", None)
        if trim is not None:
            trim(0)

    def read(self) -> int:
        """Resident bytes now."""
        room = len(self._buffer)
        read = self._libc.pread(self._file.fileno(), self._buffer, room, ctypes.c_long(0))
        pages = self._buffer.raw[:read].split()[1]
        return int(pages) * resource.getpagesize()


def _nearly_all_were_queued(tasks: int) -> Check:
    def test(outcome: Outcome) -> str | None:
        early = outcome.evidence["early"]
        few = isinstance(early, int) and early <= tasks // 100
        return None if few else f"{early} of {tasks} tasks had run when the memory was read"

    return Check("at most 1 % of the tasks ran before the memory was read", test)


def _memory(size: Size) -> Group:
    tasks = TASKS[size]

    def entry(name: str, kind: Kind) -> Contestant:
        return Contestant(
            name,
            "benchmarks.spawn:queued_bytes",
            isolated=True,
            arguments={"kind": name, "tasks": tasks},
            requires=kind.requires,
            checks=(
                *checks_for(tasks, threaded=kind.threaded),
                _nearly_all_were_queued(tasks),
            ),
            ours=kind.ours,
        )

    return Group(
        title=f"memory per queued task, {tasks:,} queued",
        contestants=tuple(entry(name, make()) for name, make in KINDS.items()),
        peer=EXECUTOR,
        metrics=(BYTES_EACH,),
        note="growth of resident memory; gevent's ThreadPool has no queue to fill: its spawn waits",
    )


BENCHMARK = Benchmark(
    name="spawn",
    title="Spawn and join empty callables",
    groups=groups,
    rounds={Size.QUICK: 2, Size.DEFAULT: 5, Size.FULL: 9},
    packages=PACKAGES,
)
