"""`spawn(f).get()` one at a time: a hand-over to another thread and back."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

from benchmarks.declare import Benchmark, Contestant, Group, Metric, Outcome, Size, Target
from benchmarks.distribution import percentile
from benchmarks.honesty import checks_for, evidence_of
from benchmarks.pools import (
    PACKAGES,
    WIDTHS,
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
    thread_pool,
    tuned,
)

TRIPS = {Size.QUICK: 300, Size.DEFAULT: 5_000, Size.FULL: 10_000}

EXECUTOR = "ThreadPoolExecutor"
OURS = "gilpool, Pool"

P50 = Metric("p50", "us, median", digits=1)
MEAN = Metric("us_each", "mean", digits=1)
P99 = Metric("p99", "p99", digits=1)


def trips(pool: OpenPool, count: int) -> Outcome:
    """One trip after another; each task returns the thread that it ran on."""
    spawn, collect, clock = pool.spawn, pool.collect, time.perf_counter_ns
    call = threading.get_native_id
    threads, took = [], []
    started = clock()
    for _ in itertools.repeat(None, count):
        began = clock()
        (thread,) = collect((spawn(call),))
        took.append((clock() - began) / 1e3)
        threads.append(thread)
    wall = (clock() - started) / 1e9
    took.sort()
    figures = {
        "wall": wall,
        "us_each": wall / count * 1e6,
        "p50": percentile(took, 50),
        "p99": percentile(took, 99),
    }
    return Outcome(figures, evidence_of(threads))


def trips_on_tbb(count: int) -> Outcome:
    """The same trips on tbb4py's `Pool`, for a process of its own."""
    return on_tbb(lambda pool: trips(pool, count))


def groups(size: Size) -> Iterator[Group]:
    """One comparison."""
    count = TRIPS[size]

    def work(pool: OpenPool) -> Outcome:
        return trips(pool, count)

    def entry(kind: Kind) -> Contestant:
        return contestant(kind, work, checks=checks_for(count, threaded=kind.threaded))

    yield Group(
        title=f"{count:,} round trips, one at a time",
        contestants=(
            tuned(
                EXECUTOR,
                map(executor, WIDTHS[size]),
                work,
                checks=checks_for(count, threaded=True),
            ),
            entry(thread_pool(1)),
            entry(betapool_pool()),
            tbb_contestant(
                "benchmarks.round_trip:trips_on_tbb",
                {"count": count},
                checks_for(count, threaded=True),
            ),
            entry(gevent_thread_pool(1)),
            entry(gevent_pool()),
            entry(gilpool_pool()),
        ),
        peer=EXECUTOR,
        metrics=(P50, MEAN, P99),
        targets=(Target(OURS, at_most=0.25, versus=EXECUTOR, metric="p50"),)
        if size is not Size.QUICK
        else (),
        note="gevent's Pool switches greenlets on the caller's thread; the others change threads",
    )


BENCHMARK = Benchmark(
    name="round_trip",
    title="Round trip: spawn(f).get()",
    groups=groups,
    rounds={Size.QUICK: 2, Size.DEFAULT: 7, Size.FULL: 9},
    packages=PACKAGES,
)
