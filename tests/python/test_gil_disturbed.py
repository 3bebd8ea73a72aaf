"""Measurements among other threads, tracers, timers, forks: never wrong, never stuck, all told."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import gilpool
from conftest import Script
from gilpool import gil


@contextmanager
def thread_running(body: "object") -> Iterator[None]:
    """A thread that calls `body` over and over while the block runs."""
    stopping = threading.Event()

    def run() -> None:
        while not stopping.is_set():
            body()  # type: ignore[operator]

    thread = threading.Thread(target=run, name="stranger")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def spin() -> None:
    for _ in range(1000):
        pass


def hold_two_ms() -> None:
    gilpool.sleep_gil(2)


def test_idle_threads_change_no_verdict_and_are_named(run_script: Script) -> None:
    # In a process of its own: whatever threads other tests have left would be counted, too.
    done = run_script(
        """
        import threading, time
        import gilpool
        from gilpool import gil

        def idle():
            while not stopping.wait(0.001):
                pass

        stopping = threading.Event()
        thread = threading.Thread(target=idle, name="stranger")
        thread.start()
        held = gil.report(gilpool.sleep_gil, 2)
        released = gil.report(time.sleep, 0.002)
        stopping.set()
        thread.join()
        assert (held.verdict, released.verdict) == ("holds", "releases"), (held, released)
        assert "1 other Python thread" in held.disturbances, held
        alone = gil.report(time.sleep, 0.002)
        assert not any("other Python thread" in one for one in alone.disturbances), alone
        """
    )
    assert done.returncode == 0, done.stderr


def test_a_thread_that_computes_makes_nothing_wrong_and_nothing_slow() -> None:
    interval = sys.getswitchinterval()
    with thread_running(spin):
        started = time.monotonic()
        held = gil.report(hold_two_ms)
        released = gil.report(time.sleep, 0.002)
        took = time.monotonic() - started
    assert held.verdict in ("holds", "inconclusive"), held
    assert released.verdict in ("releases", "inconclusive"), released
    # Without protection each release would cost the long switch interval, 30 s.
    assert took < 20
    assert sys.getswitchinterval() == interval
    assert "a Python thread that computes" in held.disturbances


def test_a_call_whose_own_threads_compute_releases() -> None:
    def fan_out() -> None:
        threads = [threading.Thread(target=spin) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert gil.report(fan_out).verdict == "releases"


def test_a_call_that_waits_for_a_task_of_the_pool_releases() -> None:
    def wait_for_task() -> None:
        gilpool.spawn(spin).get()

    assert gil.report(wait_for_task).verdict == "releases"


def test_a_task_can_measure() -> None:
    verdicts = [
        gilpool.spawn(gil.report, hold_two_ms).get().verdict,
        gilpool.spawn(gil.report, time.sleep, 0.002).get().verdict,
    ]
    assert verdicts == ["holds", "releases"]


def test_two_threads_measure_one_after_the_other() -> None:
    tasks = [gilpool.spawn(gil.report, hold_two_ms) for _ in range(3)]
    assert [task.get().verdict for task in tasks] == ["holds"] * 3


def test_a_call_that_rarely_lets_go_is_no_holder() -> None:
    calls = 0

    def release_now_and_then() -> None:
        nonlocal calls
        calls += 1
        if calls % 50 == 0:
            time.sleep(0)
        spin()

    assert gil.report(release_now_and_then).verdict == "releases"


def test_a_single_accident_proves_nothing() -> None:
    calls = 0

    def import_late() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            time.sleep(0.005)
        spin()

    report = gil.report(import_late)
    assert report.verdict == "inconclusive", report
    assert "an accident" in report.reason


def test_what_happens_when_a_result_is_dropped_is_not_the_calls_doing() -> None:
    class Sleeper:
        def __del__(self) -> None:
            time.sleep(0.0001)

    assert gil.report(Sleeper).verdict == "holds"


def test_a_call_that_wakes_all_threads_is_no_release() -> None:
    # Setting an id interrupts every thread of the process (glibc does it with a signal that nobody
    # can block), so the witness is woken; but the GIL stays where it is.
    report = gil.Probe(budget=0.5).report(lambda: os.setegid(os.getegid()))
    assert report.verdict in ("holds", "inconclusive"), report


def test_a_call_that_sets_the_switch_interval_is_not_judged() -> None:
    def meddle() -> None:
        sys.setswitchinterval(0.001)
        spin()

    interval = sys.getswitchinterval()
    report = gil.report(meddle)
    assert report.verdict == "inconclusive", report
    assert "switch interval" in report.reason
    assert sys.getswitchinterval() == interval


def test_tracing_and_timers_are_named() -> None:
    trace = sys.gettrace()
    sys.settrace(lambda *_: None)
    signal.setitimer(signal.ITIMER_VIRTUAL, 1000)
    try:
        disturbances = gil.report(time.sleep, 0.001).disturbances
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        sys.settrace(trace)
    assert "a trace function (debugger, coverage)" in disturbances
    assert "a running ITIMER_VIRTUAL" in disturbances


def test_ctrl_c_ends_a_measurement_and_everything_is_put_back(run_script: Script) -> None:
    done = run_script(
        """
        import gc, os, signal, sys, threading, time
        import gilpool

        interval = sys.getswitchinterval()
        calls = 0

        def call():
            global calls
            calls += 1
            if calls == 5:
                os.kill(os.getpid(), signal.SIGINT)
            sum(range(1000))

        try:
            gilpool.gil.report(call)
        except KeyboardInterrupt:
            print("interrupted", sys.getswitchinterval() == interval, gc.isenabled())
        print(gilpool.gil.report(time.sleep, 0.001).verdict)
        """
    )
    assert done.stdout.split() == ["interrupted", "True", "True", "releases"], done.stderr


def test_a_call_that_forks_returns_in_the_child_with_an_error(run_script: Script) -> None:
    done = run_script(
        """
        import os, sys, time, warnings
        warnings.simplefilter("ignore")
        import gilpool

        parent = os.getpid()

        def fork():
            if os.fork():
                os.wait()

        try:
            print(gilpool.gil.report(fork).verdict, flush=True)
        except RuntimeError as error:
            assert os.getpid() != parent
            assert "forked" in str(error), error
            assert gilpool.gil.report(time.sleep, 0.001).verdict == "releases"
            os._exit(0)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["releases"]


def test_a_daemon_thread_may_be_measuring_at_exit(run_script: Script) -> None:
    done = run_script(
        """
        import threading, time
        import gilpool

        def measure():
            while True:
                gilpool.gil.report(time.sleep, 0.001)

        threading.Thread(target=measure, daemon=True).start()
        time.sleep(0.2)
        print("end")
        """
    )
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


@pytest.mark.parametrize("watch_wakes", [True, False])
def test_no_thread_is_left_when_a_call_fails(watch_wakes: bool) -> None:
    probe = gil.Probe(watch_wakes=watch_wakes)
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            probe.report(lambda: 1 // 0)


UNDER_TRACEMALLOC = """
    import time, tracemalloc
    import gilpool
    tracemalloc.start()
    print(gilpool.gil.report(time.sleep, 0.001).verdict)
    with gilpool.gil.Meter() as meter:
        time.sleep(0.01)
    print(meter.elapsed > 0)
"""


def test_tracemalloc_takes_the_gil_in_new_threads_and_nothing_hangs(run_script: Script) -> None:
    result = run_script(UNDER_TRACEMALLOC, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == ["releases", "True"]
