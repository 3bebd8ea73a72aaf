"""Tasks in timed pieces: what they would have taken if nothing had disturbed them."""

import threading
import time
from array import array

import pytest

from benchmarks.piecework import Done, task_of, undisturbed_seconds


def done(begin: float, lengths: list[float], gap: float = 0.0) -> Done:
    times = array("d")
    for length in lengths:
        times.extend((begin, begin + length))
        begin += length + gap
    return Done(1, times)


def test_a_disturbed_piece_counts_like_those_around_it() -> None:
    tasks = [done(0.0, [1.0] * 20), done(100.0, [1.0] * 9 + [50.0] + [1.0] * 10)]

    assert undisturbed_seconds(tasks) == pytest.approx(40.0)


def test_time_between_pieces_does_not_count() -> None:
    assert undisturbed_seconds([done(0.0, [1.0] * 40, gap=0.5)]) == pytest.approx(40.0)


def test_a_slower_core_is_no_disturbance() -> None:
    tasks = [done(0.0, [1.0] * 100), done(100.0, [2.0] * 100)]

    assert undisturbed_seconds(tasks) == pytest.approx(300.0, rel=0.01)


def test_pieces_are_put_in_order_of_time() -> None:
    first, second = done(0.0, [1.0] * 100), done(100.0, [3.0] * 100)

    assert undisturbed_seconds([second, first]) == undisturbed_seconds([first, second])


def test_a_task_computes_for_its_length() -> None:
    """By the thread's own CPU clock: a piece more or less, and what reading the clocks takes."""
    call = task_of(5.0)
    call()
    begun = time.thread_time()
    ended = call()
    took = time.thread_time() - begun

    assert ended.thread == threading.get_native_id()
    assert len(ended.times) % 2 == 0
    assert 4.8e-3 <= took <= 7.5e-3
