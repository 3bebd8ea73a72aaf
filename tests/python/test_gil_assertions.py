"""The assertions of gilpool.gil: what passes, what fails, and what the message says."""

import functools
import json
import pickle
import sys
import time
from typing import Any

import pytest

import gilpool
from gilpool import gil
from gilpool.gil import GilReport, Inconclusive

TRIES = 4
"""A busy machine stretches what the call does when it loses its CPU; not always the same."""


def hold_then_release(held_ms: float, released_ms: float) -> None:
    gilpool.sleep_gil(held_ms)
    gilpool.sleep_nogil(released_ms)


def inconclusive(*_: Any) -> GilReport:
    return GilReport(
        name="some call",
        verdict="inconclusive",
        wall=0.01,
        cpu=0.01,
        released=None,
        longest_hold=0.01,
        calls=3,
        wins=0,
        controls=1,
        seconds=5.0,
        disturbances=("load",),
        reason="the machine was busy",
    )


def test_a_releasing_call_passes_and_a_holding_one_fails_with_its_report() -> None:
    assert gil.assert_releases(gilpool.sleep_nogil, 1).verdict == "releases"
    with pytest.raises(AssertionError, match="expected to release the GIL") as failure:
        gil.assert_releases(gilpool.sleep_gil, 1)
    assert "holds the GIL" in str(failure.value)
    assert "releases made for comparison were noticed" in str(failure.value)


def test_a_holding_call_passes_and_a_releasing_one_fails_with_its_report() -> None:
    assert gil.assert_holds(gilpool.sleep_gil, 1).verdict == "holds"
    with pytest.raises(AssertionError, match="expected to hold the GIL") as failure:
        gil.assert_holds(gilpool.sleep_nogil, 1)
    assert "releases the GIL" in str(failure.value)


@pytest.mark.parametrize(("held_ms", "released_ms"), [(6, 2), (30, 10), (10, 30), (2, 6)])
def test_the_released_share_is_what_the_call_does(held_ms: float, released_ms: float) -> None:
    share = released_ms / (held_ms + released_ms)
    for _ in range(TRIES):
        report = gil.report(hold_then_release, held_ms, released_ms)
        if report.released == pytest.approx(share, abs=0.1):
            break
    assert report.released == pytest.approx(share, abs=0.1), report
    # A busy machine stretches a hold, and nothing shortens it; sampling sees all but its ends.
    assert report.longest_hold >= held_ms / 1e3 * 0.7
    assert report.wall >= (held_ms + released_ms) / 1e3 * 0.99
    assert report.cpu < report.wall / 2  # both of them sleep


def test_too_small_a_share_fails() -> None:
    gil.assert_releases(hold_then_release, 20, 2, min_released=0.01)
    with pytest.raises(AssertionError, match="at least 80% of its time, but it did for"):
        gil.assert_releases(hold_then_release, 20, 2, min_released=0.8)


def test_any_release_will_do_for_a_share_of_nothing() -> None:
    report = gil.assert_releases(hold_then_release, 9, 0.5, min_released=0)
    assert report.verdict == "releases"


def test_a_short_hold_passes_and_a_long_one_fails_after_all_tries() -> None:
    assert gil.assert_max_hold(gilpool.sleep_nogil, 5, max_ms=200).longest_hold < 0.2
    with pytest.raises(AssertionError, match="a timing test, 2 tries; CPU time of one call") as e:
        gil.assert_max_hold(gilpool.sleep_gil, 30, max_ms=10, tries=2)
    assert "at most 10 ms" in str(e.value)


def test_one_good_try_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    holds = iter([0.5, 0.5, 0.001])
    good = inconclusive().to_dict()

    def report(*_: Any) -> GilReport:
        return GilReport(**{**good, "longest_hold": next(holds)})

    monkeypatch.setattr(gil.Probe, "report", report)
    assert gil.assert_max_hold(print, max_ms=10).longest_hold == 0.001


def test_what_cannot_be_told_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gil.Probe, "report", inconclusive)
    for check in (gil.assert_releases, gil.assert_holds):
        with pytest.raises(Inconclusive, match="could not tell whether") as raised:
            check(print)
        assert "the machine was busy" in str(raised.value)
        assert raised.value.report.verdict == "inconclusive"
        assert not isinstance(raised.value, AssertionError)
        assert pickle.loads(pickle.dumps(raised.value)).report == raised.value.report


def test_without_a_gil_every_call_releases_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    report = gil.assert_releases(sum, range(10))
    assert "without a GIL" in report.reason
    with pytest.raises(Inconclusive, match="a GIL that is not there"):
        gil.assert_holds(sum, range(10))


@pytest.mark.parametrize(
    ("check", "options", "words"),
    [
        (gil.assert_releases, {"min_released": 1.5}, "min_released"),
        (gil.assert_releases, {"min_released": -0.1}, "min_released"),
        (gil.assert_releases, {"min_released": float("nan")}, "min_released"),
        (gil.assert_releases, {"min_released": "x"}, "min_released must be an int or a float"),
        (gil.assert_max_hold, {"max_ms": "x"}, "max_ms must be an int or a float"),
        (gil.assert_max_hold, {"max_ms": 1, "tries": 1.5}, "tries must be an int"),
        (gil.assert_max_hold, {"max_ms": 1, "tries": "x"}, "tries must be an int"),
        (gil.assert_max_hold, {"max_ms": 0}, "max_ms"),
        (gil.assert_max_hold, {"max_ms": float("nan")}, "max_ms"),
        (gil.assert_max_hold, {"max_ms": 1, "tries": 0}, "tries"),
        (lambda _, **options: gil.Probe(**options), {"budget": 0}, "budget"),
        (lambda _, **options: gil.Probe(**options), {"budget": float("inf")}, "budget"),
        (lambda _, **options: gil.Probe(**options), {"warmup": -1}, "warmup"),
    ],
)
def test_senseless_options_are_refused(check: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        check(print, **options)
    decorator = {gil.assert_releases: gil.releases, gil.assert_max_hold: gil.max_hold}.get(check)
    if decorator is not None:
        with pytest.raises((TypeError, ValueError), match=words):
            decorator(**options)


def test_a_decorated_function_is_checked_whenever_it_is_called() -> None:
    @gil.releases(min_released=0.5)
    def nap(ms: float, *, word: str) -> str:
        "A docstring."
        gilpool.sleep_nogil(ms)
        return word

    assert nap(1, word="x") is None
    assert (nap.__name__, nap.__doc__) == ("nap", "A docstring.")
    with pytest.raises(ValueError, match="ms"):
        nap(-1, word="x")


def test_every_decorator_fails_as_its_assertion_does() -> None:
    for decorate, function in (
        (gil.releases(), gilpool.sleep_gil),
        (gil.holds(), gilpool.sleep_nogil),
        (gil.max_hold(max_ms=1, tries=1), gilpool.sleep_gil),
    ):
        checked = decorate(lambda ms, function=function: function(ms))
        with pytest.raises(AssertionError):
            checked(10)
    gil.holds()(lambda: sum(range(10)))()


def test_decorators_refuse_what_calling_would_not_run() -> None:
    async def coroutine_function() -> None: ...

    with pytest.raises(TypeError, match="coroutine function"):
        gil.releases()(coroutine_function)


def test_a_report_goes_to_json_and_is_readable() -> None:
    report = gil.report(functools.partial(time.sleep, 0.001))
    data = json.loads(json.dumps(report.to_dict()))
    assert data["verdict"] == "releases"
    assert data["name"] == "time.sleep"
    assert set(data) == set(GilReport.__dataclass_fields__)
    text = repr(report)
    assert text == str(report)
    assert 3 <= len(text.splitlines()) <= 5
    assert "time.sleep: releases the GIL" in text


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (time.sleep, "time.sleep"),
        (sum, "sum"),
        ([].append, "list.append"),
        ("a".join, "str.join"),
        (gil.report, "gilpool.gil._assertions.report"),
        (functools.partial(functools.partial(sum), []), "sum"),
        (functools.lru_cache(len), "len"),
    ],
)
def test_a_report_names_what_was_called(function: Any, name: str) -> None:
    from gilpool.gil._callables import name_of

    assert name_of(function) == name


def test_a_call_whose_repr_raises_is_measured_all_the_same() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise ZeroDivisionError

        def __call__(self) -> None: ...

    assert "Odd object at 0" in gil.report(Odd()).name
