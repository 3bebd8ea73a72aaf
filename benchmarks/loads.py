"""Seven loads, one default setting of gilpool, beside peers tuned for each load.

CPU-bound Python, CPU work that releases the GIL, blocking, Python then blocking, bursts, nested
tasks, tiny tasks; and an eighth of many short waits. Nothing is tuned for gilpool.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.busy import compute, loops_for, loops_per_ms
from benchmarks.declare import (
    WALL,
    Benchmark,
    Contestant,
    Group,
    Metric,
    Outcome,
    Size,
    Target,
    Tuned,
)
from benchmarks.honesty import checks_for, evidence_of
from benchmarks.load_plot import draw_speeds
from benchmarks.pools import (
    PACKAGES,
    Kind,
    OpenPool,
    betapool_pool,
    contestant,
    executor,
    gevent_pool,
    gevent_thread_pool,
    gilpool_pool,
    on_tbb,
    tbb_contestant,
    tuned,
)

#: What a load's counts are multiplied by.
SCALE = {Size.QUICK: 0.05, Size.DEFAULT: 1.0, Size.FULL: 1.0}
WIDTHS = {
    Size.QUICK: (2, 32),
    Size.DEFAULT: (1, 2, 4, 8, 32, 128, 512),
    Size.FULL: (1, 2, 4, 8, 32, 128, 512),
}
GEVENT_WIDTHS = {Size.QUICK: (8,), Size.DEFAULT: (1, 8, 32, 128), Size.FULL: (1, 8, 32, 128, 512)}

#: A pool that cannot end a load in less than this many seconds, by arithmetic, does not run it: the
#: best ones need a fraction of it.
HOPELESS_S = {Size.QUICK: 0.15, Size.DEFAULT: 1.0, Size.FULL: 1.0}

EXECUTOR = "ThreadPoolExecutor"
GEVENT_THREADS = "gevent, ThreadPool"
BETAPOOL = "betapool"
OURS = "gilpool, Pool"

#: How often a call that computes looks how long it has.
PIECES = 20

SPEED = Metric("speed", "runs/s", digits=2, higher_is_better=True)

#: Runs the whole load on a pool; returns the thread of each call.
Run = Callable[[OpenPool], list[int]]


@dataclass(frozen=True)
class Load:
    """One kind of work."""

    title: str
    run: Run
    calls: int
    #: Seconds that its calls block, all together.
    blocked: float = 0.0
    #: Workers below which it never ends, since each one waits for a call that needs another.
    deadlocks_below: int = 0

    def fits(self, width: int, size: Size) -> bool:
        """Whether so many workers can end it, and in reasonable time."""
        return width >= self.deadlocks_below and self.blocked / width < HOPELESS_S[size]


def spawn_all(pool: OpenPool, call: Callable[[], int], count: int) -> list[int]:
    """Spawns `count` calls, then fetches their results in order."""
    spawn = pool.spawn
    return pool.collect([spawn(call) for _ in range(count)])


def cpu(calls: int, ms: float, per_ms: float) -> Load:
    """CPU-bound pure Python."""
    loops = loops_for(ms / PIECES, per_ms)

    def call() -> int:
        compute(ms / 1e3, loops)
        return threading.get_native_id()

    return Load(f"CPU Python: {calls} x {ms} ms", lambda pool: spawn_all(pool, call, calls), calls)


def released(calls: int, megabytes: int) -> Load:
    """CPU work in C that releases the GIL."""
    block = bytes(megabytes << 20)

    def call() -> int:
        hashlib.sha256(block).digest()
        return threading.get_native_id()

    title = f"GIL-free CPU: {calls} x SHA-256 of {megabytes} MB"
    return Load(title, lambda pool: spawn_all(pool, call, calls), calls)


def blocking(calls: int, ms: float) -> Load:
    """Calls that only block."""

    def run(pool: OpenPool) -> list[int]:
        def call() -> int:
            pool.sleep(ms / 1e3)
            return threading.get_native_id()

        return spawn_all(pool, call, calls)

    return Load(f"blocking: {calls} x {ms} ms", run, calls, blocked=calls * ms / 1e3)


def mixed(calls: int, cpu_ms: float, blocked_ms: float, per_ms: float) -> Load:
    """Calls that compute, then block."""
    loops = loops_for(cpu_ms / PIECES, per_ms)

    def run(pool: OpenPool) -> list[int]:
        def call() -> int:
            compute(cpu_ms / 1e3, loops)
            pool.sleep(blocked_ms / 1e3)
            return threading.get_native_id()

        return spawn_all(pool, call, calls)

    title = f"mixed: {calls} x ({cpu_ms} ms Python + {blocked_ms} ms blocked)"
    return Load(title, run, calls, blocked=calls * blocked_ms / 1e3)


def bursts(count: int, calls: int, ms: float, pause_ms: float) -> Load:
    """Bursts of blocking calls with pauses between them."""

    def run(pool: OpenPool) -> list[int]:
        def call() -> int:
            pool.sleep(ms / 1e3)
            return threading.get_native_id()

        threads: list[int] = []
        for _ in range(count):
            threads += spawn_all(pool, call, calls)
            pool.sleep(pause_ms / 1e3)
        return threads

    title = f"bursts: {count} x ({calls} x {ms} ms, {pause_ms} ms pause)"
    return Load(title, run, count * calls, blocked=count * calls * ms / 1e3)


def nested(calls: int, children: int, cpu_ms: float, blocked_ms: float, per_ms: float) -> Load:
    """Calls that spawn calls on the same pool and wait for them."""
    loops = loops_for(cpu_ms / PIECES, per_ms)

    def run(pool: OpenPool) -> list[int]:
        def child() -> int:
            compute(cpu_ms / 1e3, loops)
            pool.sleep(blocked_ms / 1e3)
            return threading.get_native_id()

        def parent() -> list[int]:
            return [*spawn_all(pool, child, children), threading.get_native_id()]

        spawn = pool.spawn
        families: list[list[int]] = pool.collect([spawn(parent) for _ in range(calls)])
        return [thread for family in families for thread in family]

    title = f"nested: {calls} x ({children} x ({cpu_ms} ms Python + {blocked_ms} ms blocked))"
    blocked = calls * children * blocked_ms / 1e3
    return Load(title, run, calls * (children + 1), blocked, deadlocks_below=calls + 1)


def tiny(calls: int) -> Load:
    """Calls that do next to nothing."""

    def run(pool: OpenPool) -> list[int]:
        return spawn_all(pool, threading.get_native_id, calls)

    return Load(f"tiny: {calls:,} calls that return at once", run, calls)


def short_waits(calls: int, waits: int, us: float) -> Load:
    """Calls that block often and shortly."""

    def run(pool: OpenPool) -> list[int]:
        def call() -> int:
            for _ in range(waits):
                pool.sleep(us / 1e6)
            return threading.get_native_id()

        return spawn_all(pool, call, calls)

    title = f"short waits: {calls} x {waits} x {us} us blocked"
    return Load(title, run, calls, blocked=calls * waits * us / 1e6)


def loads(size: Size, per_ms: float) -> Iterator[Load]:
    """The seven, and short waits; Python work is counted in turns, `per_ms` a millisecond."""
    scale = SCALE[size]

    def of(count: int) -> int:
        return max(1, round(count * scale))

    yield cpu(of(600), 0.3, per_ms)
    yield released(of(600), 1)
    yield blocking(of(1000), 20)
    yield mixed(of(300), 0.16, 10, per_ms)
    yield bursts(of(20), 30, 20, 5)
    yield nested(of(30), 8, 0.1, 5, per_ms)
    yield tiny(of(10_000))
    yield short_waits(of(300), 20, 100)


def groups(size: Size) -> Iterator[Group]:
    """A comparison per load."""
    for load in loads(size, loops_per_ms()):
        yield _group(load, size)


def timed(pool: OpenPool, load: Load) -> Outcome:
    """One run of the load."""
    started = time.perf_counter()
    threads = load.run(pool)
    wall = time.perf_counter() - started
    return Outcome({"wall": wall, "speed": 1 / wall}, evidence_of(threads))


def timed_on_tbb(title: str, size: str, per_ms: float) -> Outcome:
    """The load of that title on tbb4py's `Pool`, for a process of its own: the same work."""
    load = next(load for load in loads(Size(size), per_ms) if load.title == title)
    return on_tbb(lambda pool: timed(pool, load))


def _group(load: Load, size: Size) -> Group:
    def work(pool: OpenPool) -> Outcome:
        return timed(pool, load)

    def entry(kind: Kind) -> Contestant:
        return contestant(kind, work, checks=checks_for(load.calls, threaded=kind.threaded))

    def best(name: str, make: Callable[[int], Kind], widths: tuple[int, ...]) -> Tuned:
        kinds = [make(width) for width in widths if load.fits(width, size)]
        rounds = 1 if size is Size.QUICK else 2
        checks = checks_for(load.calls, threaded=True)
        return tuned(name, kinds, work, checks=checks, rounds=rounds)

    entrants: list[Contestant | Tuned] = [best(EXECUTOR, executor, WIDTHS[size])]
    targets = [Target(OURS, at_least=0.95, versus=EXECUTOR, metric="speed")]
    nests = load.deadlocks_below > 0
    if nests:
        left_out = [
            f"executors below {load.deadlocks_below} workers, betapool and tbb4py would deadlock",
            "gevent's ThreadPool cannot be spawned on from its own threads",
        ]
    else:
        left_out = []
        entrants.append(entry(betapool_pool()))
        targets.append(Target(OURS, at_least=0.95, versus=BETAPOOL, metric="speed"))
        if load.fits(1, size):
            arguments = {"title": load.title, "size": size.value, "per_ms": loops_per_ms()}
            checks = checks_for(load.calls, threaded=True)
            entrants.append(tbb_contestant("benchmarks.loads:timed_on_tbb", arguments, checks))
        else:
            left_out.append("tbb4py's Pool, which has fewer workers than cores")
        gevent_widths = tuple(w for w in GEVENT_WIDTHS[size] if load.fits(w, size))
        if gevent_widths:
            entrants.append(best(GEVENT_THREADS, gevent_thread_pool, gevent_widths))
    entrants += [entry(gevent_pool()), entry(gilpool_pool())]
    return Group(
        title=load.title,
        contestants=tuple(entrants),
        peer=EXECUTOR,
        metrics=(WALL, SPEED),
        targets=() if size is Size.QUICK else tuple(targets),
        note=f"left out: {'; '.join(left_out)}" if left_out else None,
    )


BENCHMARK = Benchmark(
    name="loads",
    title="Seven loads and short waits, one default setting",
    groups=groups,
    rounds={Size.QUICK: 2, Size.DEFAULT: 5, Size.FULL: 9},
    packages=PACKAGES,
    draw=draw_speeds,
)
