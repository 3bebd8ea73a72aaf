"""`map` of a cheap Python function over a long list, per item."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from benchmarks.declare import (
    Benchmark,
    Check,
    Contestant,
    Group,
    Metric,
    Outcome,
    Size,
    Target,
    Tuned,
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

ITEMS = {Size.QUICK: 2_000, Size.DEFAULT: 100_000, Size.FULL: 100_000}

#: Every so many items, one has its result replaced by the thread that computed it.
STRIDE = 500

EXECUTOR = "ThreadPoolExecutor.map"
THREAD_POOL = "multiprocessing ThreadPool.map"
OURS = "gilpool, Pool.map"

PER_SECOND = Metric("rate", "million items/s", 1e-6, higher_is_better=True)
US_EACH = Metric("us_each", "us each")


def negated_or_thread(item: int) -> int:
    """The mapped function: cheap, its result tells items apart, some tell the thread."""
    return -item if item % STRIDE else threading.get_native_id()


Map = Callable[[OpenPool], Callable[[Callable[[int], int], Iterable[int]], Iterable[int]]]


def own_map(pool: OpenPool) -> Callable[..., Iterable[int]]:
    """The pool's `map`."""
    return pool.method("map")


def spawn_many(pool: OpenPool) -> Callable[..., Iterable[int]]:
    """`spawn_many`, then the results: what `map` is made of."""
    start = pool.method("spawn_many")

    def mapped(function: Callable[[int], int], items: Iterable[int]) -> list[int]:
        return pool.collect(start(function, items))

    return mapped


def mapped(pool: OpenPool, how: Map, count: int) -> Outcome:
    """Maps over `count` items and has all results in a list."""
    items = range(count)
    call = how(pool)
    started = time.perf_counter()
    results = list(call(negated_or_thread, items))
    wall = time.perf_counter() - started
    wrong = sum(results[item] != -item for item in items if item % STRIDE)
    evidence = {**evidence_of(results[::STRIDE]), "results": len(results), "wrong": wrong}
    return Outcome({"wall": wall, "us_each": wall / count * 1e6, "rate": count / wall}, evidence)


def in_order(count: int) -> Check:
    """There are `count` results, in the order of the items."""

    def test(outcome: Outcome) -> str | None:
        found, wrong = outcome.evidence["results"], outcome.evidence["wrong"]
        return None if (found, wrong) == (count, 0) else f"{found} results, {wrong} of them wrong"

    return Check(f"{count} results in order", test)


def groups(size: Size) -> Iterator[Group]:
    """One comparison."""
    count = ITEMS[size]

    def entry(kind: Kind, name: str, how: Map = own_map) -> Contestant:
        checks = (*checks_for(count // STRIDE, threaded=kind.threaded), in_order(count))
        return contestant(kind, lambda pool: mapped(pool, how, count), name=name, checks=checks)

    def best(name: str, make: Callable[[int], Kind]) -> Tuned:
        checks = (*checks_for(count // STRIDE, threaded=True), in_order(count))
        kinds = map(make, WIDTHS[size])
        return tuned(
            name, kinds, lambda pool: mapped(pool, own_map, count), checks=checks, rounds=1
        )

    yield Group(
        title=f"map over {count:,} items, per item",
        contestants=(
            best(THREAD_POOL, thread_pool),
            best(EXECUTOR, executor),
            entry(gevent_pool(), "gevent, Pool.map"),
            entry(gevent_thread_pool(1), "gevent, ThreadPool(1).map"),
            entry(gilpool_pool(), OURS),
            entry(gilpool_pool(), "gilpool, Pool.spawn_many + get", spawn_many),
        ),
        peer=EXECUTOR,
        metrics=(PER_SECOND, US_EACH),
        targets=()
        if size is Size.QUICK
        else (
            Target(OURS, at_least=1, versus=THREAD_POOL, metric="rate"),
            Target(OURS, at_least=50, versus=EXECUTOR, metric="rate"),
        ),
        note="multiprocessing's map passes chunks of items to its workers, the others single items",
    )


BENCHMARK = Benchmark(
    name="map",
    title="Pool.map of a cheap function",
    groups=groups,
    rounds={Size.QUICK: 2, Size.DEFAULT: 5, Size.FULL: 9},
    packages=PACKAGES,
)
