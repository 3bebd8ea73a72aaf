"""Every benchmark runs in its quick form; what proves that its rows are honest can fail."""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import catalogue, honesty, pools, spawn, ticker
from benchmarks.declare import Contestant, Group, Outcome, Size, UnavailableError
from benchmarks.distribution import percentile
from benchmarks.harness import Harness
from benchmarks.honesty import checks_for, evidence_of
from benchmarks.loads import Load, loads
from benchmarks.pools import Kind, OpenPool
from benchmarks.results import ContestantResult, Status

ROOT = Path(__file__).resolve().parents[2]

#: These have runs of their own in test_bench_experiment.py and test_bench_cpp.py.
NAMES = [name for name in catalogue.NAMES if name not in ("experiment", "cpp")]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_quick_form_yields_json_with_honest_rows(name: str) -> None:
    command = [sys.executable, "-m", "benchmarks", name, "--quick", "--rounds", "1", "--json"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    # 1: a row is missing (looked at below); a crash while the interpreter ends is none of it.
    assert done.returncode in (0, 1), done.stderr
    assert done.stdout.startswith("{"), done.stderr
    (benchmark,) = json.loads(done.stdout)["benchmarks"]
    assert (benchmark["name"], benchmark["size"]) == (name, "quick")
    assert benchmark["groups"]
    for group in benchmark["groups"]:
        first = group["metrics"][0]["name"]
        for row in group["contestants"]:
            where = f"{group['title']}: {row['name']}: {row['reason']}\n{row['details']}"
            if row["status"] == "missing":
                assert row["reason"].startswith(("pip install", "not there yet")), where
                continue
            assert row["status"] == "ok", where
            figures = [one["figures"] for one in row["samples"] if one["counted"]]
            assert len(figures) == 1, where
            assert figures[0].get(first, 1.0) > 0, where
        assert any(row["ours"] for row in group["contestants"])


EXPECTED_TARGETS = {
    "spawn": {
        "us_each <= 0.3 us",
        "rate >= 50x of ThreadPoolExecutor",
        "rate >= 50x of gevent, Pool",
    },
    "map": {
        "rate >= 1x of multiprocessing ThreadPool.map",
        "rate >= 50x of ThreadPoolExecutor.map",
    },
    "round_trip": {"p50 <= 0.25x of ThreadPoolExecutor"},
    "loads": {"speed >= 0.95x of ThreadPoolExecutor", "speed >= 0.95x of betapool"},
    "sleepers": {"wall <= 2 s"},
}


@pytest.mark.parametrize("name", EXPECTED_TARGETS)
def test_the_targets_are_those_of_the_project(name: str) -> None:
    groups = catalogue.load(name).groups(Size.DEFAULT)

    assert {target.text for g in groups for target in g.targets} == EXPECTED_TARGETS[name]


def test_the_tickers_bounds_follow_the_length_of_the_tasks() -> None:
    assert [ticker.bounds_ms(length) for length in (0.3, 1.2, 3.5, 10.0, 100.0)] == [
        (0.65, 5.3),
        (0.5, 6.0),
        (2.25, 8.5),
        (5.5, 15.0),
        None,
    ]
    assert [target.text for target in ticker.targets_for(3.5)] == [
        "p50 <= 2.25 ms",
        "p99 <= 8.5 ms",
        "p99 <= 0.05x of ThreadPoolExecutor(8)",
        "work <= 1.05x of serial, no ticker",
    ]


def test_each_load_is_tried_by_every_width_that_has_a_chance() -> None:
    tried = {
        load.title.partition(":")[0]: [w for w in (1, 2, 4, 8, 32, 128, 512) if fits(load, w)]
        for load in loads(Size.DEFAULT, per_ms=1.0)
    }
    # The others would sleep longer than HOPELESS_S, or (nested) wait for themselves.
    assert tried == {
        "CPU Python": [1, 2, 4, 8, 32, 128, 512],
        "GIL-free CPU": [1, 2, 4, 8, 32, 128, 512],
        "blocking": [32, 128, 512],
        "mixed": [4, 8, 32, 128, 512],
        "bursts": [32, 128, 512],
        "nested": [32, 128, 512],
        "tiny": [1, 2, 4, 8, 32, 128, 512],
        "short waits": [1, 2, 4, 8, 32, 128, 512],
    }


def fits(load: Load, width: int) -> bool:
    return load.fits(width, Size.DEFAULT)


class InPlace:
    """A cheat of a pool: runs each call in spawn, on the caller's thread."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._value = call()

    def get(self) -> Any:
        return self._value


def cheat() -> Kind:
    def opened() -> OpenPool:
        return OpenPool(None, InPlace, pools.get_all, join=lambda: None, close=lambda: None)

    return Kind("cheat", opened, ours=True)


def row_of(contestant: Contestant) -> ContestantResult:
    group = Group("cheating", (contestant,), peer=contestant.name)
    return Harness(settle=lambda: None).run_group(group, 1)[contestant.name]


def test_a_pool_that_runs_calls_in_spawn_is_found_out_twice() -> None:
    def work(pool: OpenPool) -> Outcome:
        return spawn.spawn_and_join(pool, 1000)

    row = row_of(pools.contestant(cheat(), work, checks=checks_for(2, threaded=True), fresh=True))

    assert row.status is Status.INVALID
    assert "2 calls ran on the caller's thread" in str(
        row.checks["no call ran on the caller's thread"]
    )
    assert row.checks["a blocking task does not delay spawn"] is not None
    assert row.checks["2 calls told their thread"] is None


def test_calls_that_were_not_made_are_missed() -> None:
    made, elsewhere = checks_for(3, threaded=True)
    outcome = Outcome(evidence=evidence_of([threading.get_native_id() + 1] * 2))

    assert (made.test(outcome), elsewhere.test(outcome)) == ("2 calls were made", None)


def test_greenlets_are_to_stay_on_the_callers_thread() -> None:
    _, own = checks_for(2, threaded=False)
    here = threading.get_native_id()

    assert own.test(Outcome(evidence=evidence_of([here, here]))) is None
    assert own.test(Outcome(evidence=evidence_of([here, -1]))) == "1 calls ran on other threads"


def test_one_stall_of_the_machine_is_not_held_against_a_pool() -> None:
    stalls = iter([True, False])

    def start(call: Callable[[], Any]) -> Callable[[], Any]:
        if call is threading.get_native_id and next(stalls):
            time.sleep(honesty.BLOCK_S)
        return call

    def collect(calls: Iterable[Callable[[], Any]]) -> list[Any]:
        return [call() for call in calls]

    assert honesty.spawn_seconds(start, collect) < honesty.BLOCK_S / 2
    assert next(stalls, None) is None


def test_what_a_pool_does_not_have_yet_is_said_so() -> None:
    pool = pools.executor(1).open()
    try:
        with pytest.raises(
            UnavailableError, match=r"this ThreadPoolExecutor has no spawn_many\(\)"
        ):
            pool.method("spawn_many")
        assert list(pool.method("map")(abs, [-1])) == [1]
    finally:
        pool.close()


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [(100, 50, 50), (100, 99, 99), (101, 99, 100), (10, 99, 10), (1, 50, 1), (3, 50, 2), (3, 0, 1)],
)
def test_a_percentile_is_a_value_that_was_measured(
    count: int, percent: float, expected: float
) -> None:
    assert percentile(range(1, count + 1), percent) == expected


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_resident_memory_grows_by_what_is_touched() -> None:
    size = 32 << 20
    # From the kernel, not from malloc, which may have pages left that earlier tests have touched.
    with spawn.ResidentMemory() as memory, mmap.mmap(-1, size) as block:
        before = memory.read()
        for place in range(0, size, mmap.PAGESIZE):
            block[place] = 1
        grown = memory.read() - before

    # The kernel counts pages in batches per core, so a little may be missing.
    assert 0.98 * size <= grown <= 1.5 * size
