"""The benchmark harness keeps its method: interleaved rounds, pairwise ratios, honest rows."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _bench_fakes import Scene, fake_benchmark
from benchmarks.declare import (
    Check,
    Contestant,
    Group,
    Outcome,
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
from benchmarks.harness import Harness
from benchmarks.isolated import ROOT
from benchmarks.results import Spread, Status, Verdict


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_contestants_are_interleaved_and_the_order_is_reversed_each_round(scene: Scene) -> None:
    scene.measure(*(scene.contestant(name) for name in "abc"), rounds=3)

    assert "".join(scene.order) == "abccbaabccba"


@given(contestants=st.integers(1, 6), rounds=st.integers(1, 8))
def test_over_two_rounds_every_contestant_has_had_the_same_mean_position(
    contestants: int, rounds: int
) -> None:
    scene = Scene()
    result = scene.measure(*(scene.contestant(f"c{i}") for i in range(contestants)), rounds=rounds)

    for row in result.contestants:
        assert [sample.round for sample in row.samples] == list(range(rounds + 1))
        positions = [sample.position for sample in row.samples]
        for first, second in itertools.pairwise(positions):
            assert first + second == contestants - 1


def test_the_first_round_is_kept_in_the_samples_but_counts_for_nothing(scene: Scene) -> None:
    row = scene.measure(scene.contestant("a", [100, 3, 1, 2])).contestants[0]

    assert [sample.counted for sample in row.samples] == [False, True, True, True]
    assert row.samples[0].figures["wall"] == 100
    assert row.spread("wall") == Spread(median=2, low=1, high=3, rounds=3)


def test_ratios_are_taken_round_by_round_and_their_median_is_reported(scene: Scene) -> None:
    peer = scene.contestant("peer", [9, 2, 10, 1])
    own = scene.contestant("own", [9, 1, 30, 4])
    result = scene.measure(peer, own)

    # The ratio of the medians would be 4 / 2.
    assert result.ratio("own") == Spread(median=3, low=0.5, high=4, rounds=3)
    assert result.ratio("peer") == Spread(median=1, low=1, high=1, rounds=3)


@given(drift=st.lists(st.floats(0.1, 10), min_size=4, max_size=4), factor=st.floats(0.01, 100))
def test_a_drift_of_the_machine_cancels_out_of_the_ratio(drift: list[float], factor: float) -> None:
    scene = Scene()
    own = [factor * seconds for seconds in drift]
    result = scene.measure(scene.contestant("peer", drift), scene.contestant("own", own))

    ratio = result.ratio("own")
    assert ratio is not None
    assert ratio.low == pytest.approx(factor, rel=1e-5)
    assert ratio.high == pytest.approx(factor, rel=1e-5)


def test_cpu_and_context_switches_are_differences_over_the_run(scene: Scene) -> None:
    def run() -> None:
        scene.clock.work(seconds=2, cpu=0.5, switches=8)

    row = scene.measure(Contestant("a", run), rounds=1).contestants[0]

    assert row.samples[1].figures == {
        "wall": 2.0,
        "user": 0.25,
        "system": 0.25,
        "cpu": 0.5,
        "voluntary": 6.0,
        "involuntary": 2.0,
    }


def test_a_contestants_own_figures_go_beside_the_harness_and_override_its_wall(
    scene: Scene,
) -> None:
    def run() -> Outcome:
        scene.clock.work(seconds=5)
        return Outcome(figures={"wall": 0.5, "p99": 0.007})

    row = scene.measure(Contestant("a", run)).contestants[0]

    assert row.spread("wall") == Spread(0.5, 0.5, 0.5, 3)
    assert row.spread("p99") == Spread(0.007, 0.007, 0.007, 3)


def test_a_figure_that_is_no_number_fails_the_row(scene: Scene) -> None:
    row = scene.measure(Contestant("a", lambda: Outcome(figures={"p99": math.nan}))).contestants[0]

    assert row.status is Status.FAILED
    assert "'p99' is nan" in row.reason


def test_a_contestant_that_raises_leaves_the_rounds_and_the_others_go_on(scene: Scene) -> None:
    calls: list[None] = []

    def run() -> None:
        calls.append(None)
        if len(calls) == 2:
            raise OSError("no more")

    result = scene.measure(scene.contestant("peer"), Contestant("own", run))

    own = result["own"]
    assert (own.status, own.reason) == (Status.FAILED, "round 1: OSError: no more")
    assert "in run" in own.details
    assert len(calls) == 2
    assert len(result["peer"].samples) == 4
    assert result.ratio("own") is None


def failing_in(round_number: int) -> Check:
    return Check(
        "it was right",
        lambda outcome: "it was wrong" if outcome.evidence["round"] == round_number else None,
    )


@pytest.mark.parametrize("bad_round", [0, 2])
def test_one_failed_check_in_any_round_makes_the_row_invalid(scene: Scene, bad_round: int) -> None:
    own = scene.contestant(
        "own", evidence=lambda number: {"round": number}, checks=(failing_in(bad_round),)
    )
    target = Target("own", at_most=100)
    result = scene.measure(scene.contestant("peer"), own, targets=(target,))

    row = result["own"]
    assert row.status is Status.INVALID
    assert row.checks == {"it was right": f"round {bad_round}: it was wrong"}
    assert len(row.samples) == 4
    assert result.ratio("own") is None
    assert result.judged(target) == (Verdict.OPEN, None)


def test_a_peer_that_fails_a_check_is_nobodys_yardstick(scene: Scene) -> None:
    peer = scene.contestant("peer", checks=(Check("never", lambda _: "no"),))
    result = scene.measure(peer, scene.contestant("own"))

    assert result["own"].valid
    assert result.ratio("own") is None


def test_a_check_that_raises_counts_as_failed(scene: Scene) -> None:
    own = scene.contestant("own", checks=(failing_in(0),))

    row = scene.measure(own).contestants[0]

    assert row.status is Status.INVALID
    assert "raised KeyError" in row.reason


def test_checks_tell_threads_callers_and_short_calls_apart() -> None:
    def outcome(*calls: tuple[int, float]) -> Outcome:
        told = [[thread, 0, int(seconds * 1e9)] for thread, seconds in calls]
        return Outcome(evidence={"caller": 1, "calls": told})

    apart, mixed = outcome((2, 1.0), (3, 1.0)), outcome((2, 1.0), (1, 0.999))

    assert ran(2).test(apart) is None
    assert ran(3).test(apart) == "2 calls were made"
    assert off_the_caller().test(apart) is None
    assert off_the_caller().test(mixed) == "1 calls ran on the caller's thread"
    assert on_distinct_threads(2).test(apart) is None
    assert on_distinct_threads(2).test(mixed) == "1 threads"
    assert each_lasted(1.0).test(apart) is None
    assert "0.999000 s" in str(each_lasted(1.0).test(mixed))
    assert each_lasted(1.0).test(outcome()) is not None


def test_a_call_is_logged_with_its_thread_even_when_it_raises() -> None:
    log = CallLog()
    with pytest.raises(ZeroDivisionError):
        log.run(divmod, 1, 0)

    outcome = log.outcome()
    (call,) = calls_of(outcome)
    assert call.thread == outcome.evidence["caller"]
    assert call.started_ns <= call.ended_ns


def test_less_than_one_counted_round_is_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="at least one counted round"):
        scene.measure(scene.contestant("a"), rounds=0)


def test_groups_are_asked_for_one_at_a_time(scene: Scene) -> None:
    def groups(_: Size) -> Iterator[Group]:
        for name in "ab":
            scene.order.append(f"make {name}")
            yield Group(name, (scene.contestant(name),), peer=name)

    benchmark = dataclasses.replace(fake_benchmark(), groups=groups)
    scene.harness.run(benchmark, Size.QUICK, rounds=1)

    assert scene.order == ["make a", "a", "a", "make b", "b", "b"]


def test_the_example_of_the_readme_runs_and_is_honest() -> None:
    readme = ROOT.joinpath("benchmarks", "README.md").read_text()
    _, _, rest = readme.partition("```python\n")
    example: dict[str, Any] = {}
    exec(rest.partition("```")[0], example)

    result = Harness().run(example["BENCHMARK"], Size.QUICK, rounds=1)

    assert result.honest
    assert result.groups[0].ratio("a thread") is not None


def test_the_watchdog_ends_a_process_whose_gil_is_held_and_shows_where(tmp_path: Path) -> None:
    script = tmp_path / "held.py"
    script.write_text(
        "import ctypes\n"
        "from benchmarks.harness import watchdog\n"
        "def hold_the_gil():\n"
        "    ctypes.PyDLL(None).sleep(60)\n"
        "with watchdog(0.5):\n"
        "    hold_the_gil()\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONPATH": os.fspath(ROOT)},
        check=False,
    )

    assert done.returncode == 1
    assert "in hold_the_gil" in done.stderr
