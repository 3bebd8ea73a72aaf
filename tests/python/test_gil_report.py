"""gilpool.gil.report: verdicts are right, errors propagate, everything is put back."""

import asyncio
import ctypes
import gc
import hashlib
import json
import mmap
import os
import sys
import time
from typing import Any

import pytest

import gilpool
from gilpool import _core, gil


def usleep(library: Any, microseconds: int) -> Any:
    """The same C function, held or let go by the way it is called."""
    function = library(None).usleep
    return lambda: function(microseconds)


def count_to(number: int) -> None:
    for _ in range(number):
        pass


RELEASING = {
    "ctypes.CDLL": usleep(ctypes.CDLL, 100),
    "time.sleep": lambda: time.sleep(0.001),
    "time.sleep(0)": lambda: time.sleep(0),
    "sleep_nogil": lambda: gilpool.sleep_nogil(5),
    "sha256 of 4 kB": lambda: hashlib.sha256(bytes(4096)),
}
HOLDING = {
    "ctypes.PyDLL": usleep(ctypes.PyDLL, 100),
    "pure Python": lambda: count_to(10_000),
    "pure Python, longer than a switch interval": lambda: count_to(1_000_000),
    "sum": lambda: sum(range(1000)),
    "sleep_gil": lambda: gilpool.sleep_gil(5),
    "sha256 of 1 kB": lambda: hashlib.sha256(bytes(1024)),
    "json": lambda: json.dumps(list(range(100))),
    "next to nothing": lambda: None,
}


@pytest.mark.parametrize("watch_wakes", [True, False])
@pytest.mark.parametrize("name", RELEASING)
def test_who_lets_go_is_seen_to(name: str, watch_wakes: bool) -> None:
    report = gil.Probe(watch_wakes=watch_wakes).report(RELEASING[name])
    assert report.verdict == "releases", report
    assert report.released is not None
    assert report.released > 0


@pytest.mark.parametrize("watch_wakes", [True, False])
@pytest.mark.parametrize("name", HOLDING)
def test_who_keeps_it_is_seen_to(name: str, watch_wakes: bool) -> None:
    # What nobody tells of is looked for closely, for which a busy machine needs its time.
    report = gil.Probe(watch_wakes=watch_wakes, budget=20).report(HOLDING[name])
    assert report.verdict == "holds", report
    assert report.released == 0
    assert report.longest_hold >= report.wall * 0.5


@pytest.mark.parametrize("watch_wakes", [True, False])
def test_a_microsecond_in_a_millisecond_is_enough(watch_wakes: bool) -> None:
    probe = gil.Probe(watch_wakes=watch_wakes, budget=20)
    report = probe.report(lambda: (count_to(20_000), os.stat("/")))
    assert report.verdict == "releases", report
    assert probe.report(lambda: (count_to(20_000), os.getpid())).verdict == "holds"


def test_without_a_close_look_nothing_brief_is_ruled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no wake-up is told and the looking thread has no CPU, "holds" is not said."""
    monkeypatch.setattr(_core.WitnessProbe, "control_closely", lambda *_: False)
    report = gil.Probe(watch_wakes=False, budget=0.2).report(count_to, 1000)
    assert report.verdict == "inconclusive", report
    assert "0 of " in report.reason
    assert report.wins == 0


def test_arguments_reach_the_call() -> None:
    seen: list[object] = []

    def note(*args: object, **kwargs: object) -> None:
        seen.append((args, kwargs))

    gil.report(note, 1, "two", budget=3, self=4)

    assert len(seen) > 1
    assert all(call == ((1, "two"), {"budget": 3, "self": 4}) for call in seen)


async def coroutine_function() -> None:
    await asyncio.sleep(0)


async def asynchronous_generator() -> Any:
    yield 1


def generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (coroutine_function, "coroutine function"),
        (asynchronous_generator, "async generator function"),
        (generator, "generator function"),
        (lambda: coroutine_function(), "coroutine objects"),
        (5, "must be callable, not int"),
        (None, "must be callable, not NoneType"),
    ],
)
def test_what_a_call_would_not_run_is_refused(function: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        gil.report(function)


def test_a_class_whose_instances_are_coroutine_functions_can_be_measured() -> None:
    class Callable:
        async def __call__(self) -> None: ...

    assert gil.report(Callable).verdict == "holds"
    with pytest.raises(TypeError, match="coroutine function"):
        gil.report(Callable())


def test_a_coroutine_is_refused() -> None:
    coroutine = coroutine_function()
    with pytest.raises(TypeError, match="is a coroutine"):
        gil.report(coroutine)  # type: ignore[arg-type]
    coroutine.close()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_exception_propagates_and_everything_is_put_back(
    error: type[BaseException], after: int
) -> None:
    interval, calls = sys.getswitchinterval(), 0

    def fail_late() -> None:
        nonlocal calls
        calls += 1
        if calls > after:
            raise error("from the call")

    with pytest.raises(error, match="from the call"):
        gil.report(fail_late)

    assert sys.getswitchinterval() == interval
    assert gc.isenabled()
    assert gil.report(time.sleep, 0).verdict == "releases"  # another measurement may follow


def test_a_garbage_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        gil.report(time.sleep, 0)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_large_results_are_not_hoarded() -> None:
    # Each is a gigabyte of address space that is never touched.
    assert gil.report(mmap.mmap, -1, 1 << 30).verdict in ("holds", "releases")


def test_a_measurement_inside_a_measured_call_is_refused() -> None:
    with pytest.raises(RuntimeError, match="inside a call that is being measured"):
        gil.report(gil.report, time.sleep, 0)
