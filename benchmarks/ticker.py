"""How late a thread wakes that ticks every millisecond, beside tasks that always want the GIL.

The ticker stands for everything else in a program that must react: an event loop, a heartbeat, a
user interface. It is a plain `threading.Thread` and knows nothing of the pool.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from benchmarks.declare import Benchmark, Check, Contestant, Group, Metric, Outcome, Size, Target
from benchmarks.distribution import percentile
from benchmarks.honesty import checks_for, evidence_of
from benchmarks.piecework import Done, task_of, undisturbed_seconds
from benchmarks.pools import PACKAGES, Kind, OpenPool, contestant, executor, gilpool_pool
from benchmarks.ticker_plot import draw_lateness

PERIOD_S = 0.001

LENGTHS_MS = {
    Size.QUICK: (1.2,),
    Size.DEFAULT: (0.3, 1.2, 3.5, 10.0, 100.0),
    Size.FULL: (0.3, 1.2, 3.5, 10.0, 100.0),
}

#: Seconds of CPU-bound work per run.
WORK_S = {Size.QUICK: 0.1, Size.DEFAULT: 0.5, Size.FULL: 2.0}

SERIAL = "serial, no ticker"
ALONE = "ticker, no work"
PEER = "ThreadPoolExecutor(8)"
OURS = "gilpool, Pool"

P99 = Metric("p99", "p99 ms", digits=2)
METRICS = (
    P99,
    Metric("p50", "p50", digits=2),
    Metric("p90", "p90", digits=2),
    Metric("max", "max", digits=2),
    Metric("ticks", "ticks", digits=0),
    Metric("wall", "wall s"),
    Metric("work", "x undisturbed"),
    Metric("task_ms", "ms per task"),
)


class Ticker:
    """A thread that sleeps a millisecond at a time and notes how late it woke."""

    def __init__(self) -> None:
        #: Milliseconds beyond the period, one for each tick.
        self.late_ms: list[float] = []
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="ticker")

    def __enter__(self) -> Ticker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()

    def _run(self) -> None:
        sleep, clock, note = time.sleep, time.perf_counter, self.late_ms.append
        while not self._stop:
            before = clock()
            sleep(PERIOD_S)
            note((clock() - before - PERIOD_S) * 1e3)


def work_beside_ticker(pool: OpenPool, call: Callable[[], Done], tasks: int) -> Outcome:
    """Queues all tasks at once and waits for the last; the ticker ticks until they have ended.

    The waiting begins with the last task, so that this thread does not ask for the GIL between.
    """
    spawn = pool.spawn
    with Ticker() as ticker:
        started = time.perf_counter()
        handles = [spawn(call) for _ in range(tasks)]
        handles.reverse()
        done: list[Done] = pool.collect(handles)
        wall = time.perf_counter() - started
    return Outcome(
        {**work_figures(wall, done), **lateness(ticker)}, evidence_of(t for t, _ in done)
    )


def ticker_alone(seconds: float) -> Outcome:
    """A ticker with nothing beside it in this process: what the machine alone makes of it."""
    with Ticker() as ticker:
        time.sleep(seconds)
    return Outcome(lateness(ticker))


def lateness(ticker: Ticker) -> dict[str, float]:
    """The figures of a ticker that has ended."""
    late = sorted(ticker.late_ms)
    return {
        "ticks": float(len(late)),
        "p50": percentile(late, 50),
        "p90": percentile(late, 90),
        "p99": percentile(late, 99),
        "max": late[-1],
    }


def serial_work(call: Callable[[], Done], tasks: int) -> Outcome:
    """The same tasks one after another, with nobody beside them.

    On a thread of their own, as in a pool: this one may stay on a core that others slow down.
    """
    done: list[Done] = []
    thread = threading.Thread(target=lambda: done.extend(call() for _ in range(tasks)))
    started = time.perf_counter()
    thread.start()
    thread.join()
    wall = time.perf_counter() - started
    return Outcome(work_figures(wall, done), evidence_of(t for t, _ in done))


def work_figures(wall: float, done: list[Done]) -> dict[str, float]:
    """The figures of tasks that took `wall` seconds together."""
    return {
        "wall": wall,
        "work": wall / undisturbed_seconds(done),
        "task_ms": wall / len(done) * 1e3,
    }


def bounds_ms(length: float) -> tuple[float, float] | None:
    """The most that p50 and p99 may be beside tasks of that length; None: no target."""
    if length > 10:
        return None
    if length == 1.2:
        return 0.5, 6.0
    return length / 2 + 0.5, length + 5


def targets_for(length: float) -> tuple[Target, ...]:
    """The bounds, the distance to the peer, and what the courtesy may cost."""
    work = Target(OURS, at_most=1.05, versus=SERIAL, metric="work")
    bounds = bounds_ms(length)
    if bounds is None:
        return (work,)
    p50, p99 = bounds
    return (
        Target(OURS, at_most=p50, metric="p50", label="ms"),
        Target(OURS, at_most=p99, metric="p99", label="ms"),
        Target(OURS, at_most=1 / 20, versus=PEER, metric="p99"),
        work,
    )


def groups(size: Size) -> Iterator[Group]:
    """A comparison per task length."""
    for length in LENGTHS_MS[size]:
        yield _group(length, size)


def _group(length: float, size: Size) -> Group:
    tasks = max(2, round(WORK_S[size] / (length / 1e3)))
    call = task_of(length)

    def work(pool: OpenPool) -> Outcome:
        return work_beside_ticker(pool, call, tasks)

    def entry(kind: Kind) -> Contestant:
        return contestant(kind, work, checks=(*checks_for(tasks, threaded=True), _it_ticked()))

    return Group(
        title=f"a 1 ms ticker beside {tasks:,} CPU-bound tasks of {length:g} ms",
        contestants=(
            entry(executor(8)),
            entry(executor(1)),
            Contestant(ALONE, lambda: ticker_alone(WORK_S[size])),
            # Side by side in time: on a machine shared with others a core is slow for seconds.
            Contestant(
                SERIAL,
                lambda: serial_work(call, tasks),
                checks=checks_for(tasks, threaded=True),
            ),
            entry(gilpool_pool()),
        ),
        peer=PEER,
        metrics=METRICS,
        targets=() if size is Size.QUICK else targets_for(length),
        note=(
            "lateness in ms; a stall is one late tick, however many periods it swallows\n"
            "  undisturbed: what the tasks would have taken by the pace of most of their pieces"
        ),
    )


def _it_ticked() -> Check:
    def test(outcome: Outcome) -> str | None:
        return None if outcome.figures["ticks"] >= 1 else "it did not tick"

    return Check("the ticker ticked", test)


BENCHMARK = Benchmark(
    name="ticker",
    title="Lateness of a 1 ms ticker beside CPU-bound tasks",
    groups=groups,
    rounds={Size.QUICK: 2, Size.DEFAULT: 11, Size.FULL: 11},
    packages=PACKAGES,
    draw=draw_lateness,
)
