"""The experiment's two functions: how long, what they refuse, and what they do with the GIL."""

import math
import threading
import time
from collections.abc import Callable

import pytest

import gilpool

Sleep = Callable[[float], None]
IN_MILLISECONDS = [gilpool.sleep_gil, gilpool.sleep_nogil]


@pytest.mark.parametrize("sleep", IN_MILLISECONDS)
@pytest.mark.parametrize("ms", [0, 5, 20.5, True])
def test_sleeps_at_least_that_many_milliseconds(sleep: Sleep, ms: float) -> None:
    begin = time.monotonic()
    sleep(ms)

    assert time.monotonic() - begin >= ms / 1000


def test_sleep_takes_seconds() -> None:
    begin = time.monotonic()
    gilpool.sleep(0.02)

    assert time.monotonic() - begin >= 0.02


@pytest.mark.parametrize(
    ("sleep", "name"),
    [(gilpool.sleep_gil, "ms"), (gilpool.sleep_nogil, "ms"), (gilpool.sleep, "seconds")],
)
@pytest.mark.parametrize(
    ("value", "error", "why"),
    [
        (-1, ValueError, "must not be negative"),
        (-0.001, ValueError, "must not be negative"),
        (math.nan, ValueError, "must not be NaN"),
        (math.inf, ValueError, "must be finite"),
        (-math.inf, ValueError, "must be finite"),
        (1e300, ValueError, "is too large"),
        (10**400, ValueError, "is too large"),
        ("5", TypeError, "must be an int or a float, not str"),
        (None, TypeError, "must be an int or a float, not NoneType"),
        ([1], TypeError, "must be an int or a float, not list"),
        (1j, TypeError, "must be an int or a float, not complex"),
    ],
)
def test_refuses_what_is_no_length_of_time(
    sleep: Callable[[object], None], name: str, value: object, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=f"{name} {why}"):
        sleep(value)


def test_argument_may_be_named() -> None:
    gilpool.sleep_gil(ms=0)
    gilpool.sleep_nogil(ms=0)
    gilpool.sleep(seconds=0)


@pytest.mark.parametrize("sleep", [gilpool.sleep_gil, gilpool.sleep_nogil, gilpool.sleep])
def test_missing_or_extra_arguments_are_type_errors(sleep: Callable[..., None]) -> None:
    with pytest.raises(TypeError):
        sleep()
    with pytest.raises(TypeError):
        sleep(1, 2)


def counts_while(sleep: Sleep, ms: float) -> tuple[int, int]:
    """How far another thread counts during the call, and in as long with the GIL free for it."""
    count = 0
    stop = False
    started = threading.Event()

    def counter() -> None:
        nonlocal count
        started.set()
        while not stop:
            count += 1
            time.sleep(0)  # offers the GIL, so that the caller gets it back at once

    thread = threading.Thread(target=counter)
    thread.start()
    started.wait()
    try:
        before = count
        sleep(ms)
        during = count - before
        before = count
        time.sleep(ms / 1000)
        free = count - before
    finally:
        stop = True
        thread.join()
    return during, free


def test_sleep_nogil_lets_other_threads_run() -> None:
    """Two equal stretches with the GIL free; were it held, the first would count nothing."""
    during, free = counts_while(gilpool.sleep_nogil, 100)

    assert during > free / 10


def test_sleep_gil_lets_no_other_thread_run() -> None:
    """The counter may get in a few rounds before the call and after it, but not during."""
    during, free = counts_while(gilpool.sleep_gil, 100)

    assert during < free / 10
