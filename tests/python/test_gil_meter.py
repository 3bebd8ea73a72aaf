"""gilpool.gil.Meter: what it counts is what happened, while it runs and afterwards."""

import itertools
import json
import os
import statistics
import threading
import time

import pytest

import gilpool
from conftest import Script
from gilpool.gil import Meter


def alternate(busy_ms: float, free_ms: float, times: int) -> float:
    """Returns for how many seconds the GIL was held: longer than asked, on a busy machine."""
    held = 0.0
    for _ in range(times):
        began = time.monotonic()
        gilpool.sleep_gil(busy_ms)
        held += time.monotonic() - began
        time.sleep(free_ms / 1e3)
    return held


@pytest.mark.parametrize(("busy_ms", "free_ms"), [(20, 60), (40, 40), (60, 20)])
def test_the_busy_fraction_is_the_share_of_time_that_the_gil_was_held(
    busy_ms: float, free_ms: float
) -> None:
    with Meter(1000, knocks=0) as meter:
        began = time.monotonic()
        held = alternate(busy_ms, free_ms, 12)
        elapsed = time.monotonic() - began
    assert meter.busy >= held * 0.8 - meter.missed
    assert meter.busy_fraction == pytest.approx(held / elapsed, abs=0.15)
    assert meter.longest_hold >= busy_ms / 1e3 * 0.5


def test_an_idle_program_is_not_busy() -> None:
    with Meter(1000) as meter:
        time.sleep(0.3)
    assert meter.busy_fraction < 0.2
    assert meter.elapsed >= 0.3


def test_switches_are_counted() -> None:
    with Meter(knocks=0) as meter:
        before = meter.switches
        for _ in range(50):
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
        time.sleep(0.05)  # several periods: the counter is read by the meter's own thread
    assert meter.switches - before >= 50
    assert meter.switches_per_second > 0


def test_a_knock_waits_as_long_as_the_gil_is_held() -> None:
    with Meter(knocks=50) as meter:
        alternate(50, 1, 6)
    # A knock that comes during a hold waits for what is left of it, on average half.
    assert meter.knocks >= 3
    assert meter.waited / meter.knocks > 5e-3


def test_a_passive_meter_does_not_knock() -> None:
    with Meter(knocks=0) as meter:
        time.sleep(0.05)
    assert (meter.knocks, meter.waited) == (0, 0.0)


def test_counters_only_grow_and_stay_after_the_end() -> None:
    names = ("busy", "switches", "longest_hold", "waited", "elapsed", "missed", "knocks")
    with Meter(1000, knocks=50) as meter:
        readings = []
        for _ in range(5):
            alternate(5, 5, 2)
            readings.append([getattr(meter, name) for name in names])
    for earlier, later in itertools.pairwise(readings):
        assert all(a <= b for a, b in zip(earlier, later, strict=True))
    last = meter.to_dict()
    time.sleep(0.02)
    assert meter.to_dict() == last
    assert json.loads(json.dumps(last)) == last
    assert {"busy_fraction", "switches_per_second", *names} <= last.keys()


def test_a_meter_costs_next_to_nothing() -> None:
    """In CPU time, which other processes do not add to, and as medians of neighbours, as the speed
    of a shared core changes by a tenth and more. The exact figure is a benchmark's; this bound is
    for a meter that competes for the GIL or spins."""

    def spin() -> float:
        began = time.thread_time()
        for _ in range(300_000):
            pass
        return time.thread_time() - began

    slowdowns, meters = [], []
    for _ in range(25):
        before = spin()
        with Meter() as meter:
            process, thread = time.process_time(), time.thread_time()
            beside = spin()
            time.sleep(0.02)
            others = (time.process_time() - process) - (time.thread_time() - thread)
            meters.append(others / meter.elapsed)
        slowdowns.append(2 * beside / (before + spin()))
    assert statistics.median(slowdowns) < 1.25
    assert min(meters) < 0.05


def test_a_meter_is_for_one_time() -> None:
    meter = Meter()
    assert (meter.elapsed, meter.busy_fraction, meter.switches_per_second) == (0, 0, 0)
    with meter, pytest.raises(RuntimeError, match="only once"):
        meter.start()
    meter.stop()


def test_two_meters_at_once() -> None:
    with Meter() as outer, Meter() as inner:
        alternate(20, 20, 3)
    assert outer.busy > 0
    assert inner.busy > 0


@pytest.mark.parametrize("hz", [0, -1, 20_000, float("nan"), float("inf")])
def test_a_senseless_rate_is_refused(hz: float) -> None:
    with pytest.raises(ValueError, match="hz"):
        Meter(hz)


@pytest.mark.parametrize("knocks", [-1, 5_000, float("nan"), float("inf")])
def test_senseless_knocks_are_refused(knocks: float) -> None:
    with pytest.raises(ValueError, match="knocks"):
        Meter(knocks=knocks)


def test_a_meter_that_nobody_stops_does_not_keep_the_process(run_script: Script) -> None:
    done = run_script("import gilpool; gilpool.gil.Meter().start(); print('end')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_meter_that_stands_still() -> None:
    with Meter() as meter:
        child = os.fork()
        if child == 0:
            meter.stop()
            os._exit(0 if meter.to_dict() == meter.to_dict() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
