"""Contestants that are missing, tuned or wrongly declared, and the targets that judge them."""

from __future__ import annotations

import pytest

from _bench_fakes import Scene, fake_benchmark
from benchmarks.declare import (
    Contestant,
    Group,
    Metric,
    Outcome,
    Requirement,
    Size,
    Target,
    Tuned,
    UnavailableError,
)
from benchmarks.results import BenchmarkResult, Spread, Status, Verdict


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_missing_peer_is_named_with_its_pip_line_and_is_no_fault(scene: Scene) -> None:
    need = Requirement("no_such_package_here.pool", "pip install no-such-package")
    for isolated in (False, True):
        run = "no_such_package_here:run" if isolated else (lambda: None)
        peer = Contestant("peer", run, isolated=isolated, requires=(need,))
        result = scene.measure(peer, scene.contestant("own", ours=True))

        assert result["peer"].status is Status.MISSING
        assert result["peer"].reason == "pip install no-such-package"
        assert result.ratio("own") is None
        assert honest(result.group, scene)


def test_gilpool_itself_missing_is_a_fault(scene: Scene) -> None:
    def prepare() -> None:
        raise UnavailableError("pip install .")

    own = Contestant("own", lambda: None, ours=True, prepare=prepare)

    assert not honest(Group("g", (own,), peer="own"), scene)


def honest(group: Group, scene: Scene) -> bool:
    return scene.harness.run(fake_benchmark(group), Size.QUICK).honest


def test_prepare_and_close_run_once_around_all_rounds(scene: Scene) -> None:
    def run() -> None:
        scene.order.append("run")

    own = Contestant(
        "own",
        run,
        prepare=lambda: scene.order.append("prepare"),
        close=lambda: scene.order.append("close"),
    )
    scene.measure(own, rounds=2)

    assert scene.order == ["prepare", "run", "run", "run", "close"]


def test_an_error_in_close_spoils_its_own_row_only(scene: Scene) -> None:
    def close() -> None:
        raise RuntimeError("stuck")

    result = scene.measure(scene.contestant("own"), scene.contestant("bad", close=close))

    assert result["bad"].status is Status.FAILED
    assert result["bad"].reason == "in close: RuntimeError: stuck"
    assert result["own"].valid


def test_a_tuned_peer_takes_part_with_its_fastest_setting_and_the_rest_are_closed(
    scene: Scene,
) -> None:
    def candidate(width: int, seconds: float) -> Contestant:
        return scene.contestant(
            f"width {width}", seconds, close=lambda: scene.order.append(f"close {width}")
        )

    tuned = Tuned("peer", (candidate(1, 3), candidate(2, 1), candidate(4, 2)), rounds=1)
    group = Group("g", (tuned, scene.contestant("own", 2.0)), peer="peer")
    result = scene.harness.run_group(group, 1)

    first_pass = ["width 1", "width 2", "width 4", "width 4", "width 2", "width 1"]
    rounds = ["width 2", "own", "own", "width 2"]
    assert scene.order == [*first_pass, "close 1", "close 4", *rounds, "close 2"]
    peer = result["peer"]
    assert (peer.chosen, peer.candidates) == ("width 2", {"width 1": 3, "width 2": 1, "width 4": 2})
    assert [sample.round for sample in peer.samples] == [0, 1]
    assert result.ratio("own") == Spread(2, 2, 2, 1)


def test_tuning_prefers_more_where_more_is_better_and_leaves_broken_candidates_out(
    scene: Scene,
) -> None:
    def candidate(name: str, rate: float) -> Contestant:
        return Contestant(name, lambda: Outcome(figures={"rate": rate}))

    broken = Contestant("c", lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    tuned = Tuned("peer", (candidate("a", 5), candidate("b", 7), broken))
    rate = Metric("rate", "tasks/s", higher_is_better=True)
    result = scene.harness.run_group(Group("g", (tuned,), peer="peer", metrics=(rate,)), 1)

    assert result["peer"].chosen == "b"
    assert result["peer"].valid
    assert "left out: c: round 0: ZeroDivisionError" in result["peer"].reason


@pytest.mark.parametrize(
    ("target", "verdict", "figure"),
    [
        (Target("own", at_most=0.5, versus="peer"), Verdict.PASS, 0.5),
        (Target("own", at_most=0.49, versus="peer"), Verdict.MISS, 0.5),
        (Target("own", at_least=1.9, at_most=2.1), Verdict.PASS, 2.0),
        (Target("own", at_least=2.1), Verdict.MISS, 2.0),
        (Target("own", at_most=1.3, versus=1.6), Verdict.PASS, 1.25),
        (Target("own", at_most=1.2, versus=1.6), Verdict.MISS, 1.25),
        (Target("own", at_most=1, metric="p99"), Verdict.OPEN, None),
    ],
)
def test_targets_bound_a_median_or_a_ratio(
    scene: Scene, target: Target, verdict: Verdict, figure: float | None
) -> None:
    result = scene.measure(
        scene.contestant("peer", 4.0), scene.contestant("own", 2.0), targets=(target,)
    )

    assert result.judged(target) == (verdict, figure)
    on_target = BenchmarkResult(fake_benchmark(), Size.QUICK, [result]).on_target
    assert on_target is (verdict is Verdict.PASS)


def test_declarations_that_make_no_sense_are_refused_with_the_name_in_the_message() -> None:
    def work() -> None: ...

    with pytest.raises(TypeError, match=r"'a': isolated contestants name their function"):
        Contestant("a", work, isolated=True)
    with pytest.raises(TypeError, match="'a'"):
        Contestant("a", "module:function")
    with pytest.raises(ValueError, match="bounds nothing"):
        Target("a")
    with pytest.raises(ValueError, match="two contestants"):
        Group("g", (Contestant("a", work), Contestant("a", work)), peer="a")
    with pytest.raises(ValueError, match="no contestant 'b'"):
        Group("g", (Contestant("a", work),), peer="b")
    with pytest.raises(ValueError, match="no contestant 'c'"):
        Group("g", (Contestant("a", work),), peer="a", targets=(Target("c", at_most=1),))
