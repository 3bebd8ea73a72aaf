"""apply, map, imap and their variants: order, errors, bounds, and iterators left half-read."""

import gc
import itertools
import random
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gilpool
from _tools import PATIENCE, Held, fail, settle, wait_until
from conftest import Script
from gilpool import _imap

SIZES = [1, 2, 10, None]
IMAPS = ["imap", "imap_unordered"]


def square(n: int) -> int:
    return n * n


def square_some_time(n: int) -> int:
    gilpool.sleep(random.random() * 0.005)
    return n * n


class InputError(Exception):
    """Raised by an iterable."""


def numbers_then_error(count: int) -> Iterator[int]:
    yield from range(count)
    raise InputError("no more")


# --- apply --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_apply(size: int | None) -> None:
    pool = gilpool.Pool(size)

    assert pool.apply(square, (5,)) == 25
    assert pool.apply(int, ("ff",), {"base": 16}) == 255
    assert pool.apply(int) == 0
    with pytest.raises(KeyError):
        pool.apply(fail, (KeyError(),))


@pytest.mark.parametrize("size", SIZES)
def test_apply_within_apply_runs_on_another_thread(size: int | None) -> None:
    pool = gilpool.Pool(size)

    def outer() -> tuple[int, int]:
        return threading.get_native_id(), pool.apply(threading.get_native_id)

    outside, inside = pool.apply(outer)
    assert outside != inside


def test_apply_cb_passes_a_result_on_and_an_error_not() -> None:
    pool = gilpool.Pool()
    seen: list[Any] = []
    assert pool.apply_cb(square, (3,), callback=seen.append) == 9
    with pytest.raises(KeyError):
        pool.apply_cb(fail, (KeyError(),), callback=seen.append)
    settle()

    assert seen == [9]


def test_errors_of_callbacks_are_reported(
    reports: list[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    unraisable: list[str] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: unraisable.append(str(args.exc_value)))
    pool = gilpool.Pool()

    def callback(result: int) -> None:
        raise ZeroDivisionError(result)

    assert pool.apply_cb(square, (3,), callback=callback) == 9
    assert pool.apply_async(square, (4,), callback=callback).get() == 16
    settle()

    assert [str(error) for error in reports] == ["9"]
    assert unraisable == ["16"]


@pytest.mark.parametrize("size", SIZES)
def test_apply_async_never_waits_and_keeps_the_order(size: int | None) -> None:
    pool = gilpool.Pool(size)
    begun: list[int] = []
    seen: list[int] = []
    with Held(pool, count=size or 1):
        tasks = [pool.apply_async(begun.append, (n,)) for n in range(100)]
        last = pool.apply_async(square, (7,), callback=seen.append)
        if size is not None:
            assert begun == []
            assert len(pool) == size
    assert last.get(timeout=PATIENCE) == 49
    gilpool.joinall(tasks)
    settle()

    assert sorted(begun) == list(range(100))
    if size == 1:
        assert begun == list(range(100))
    assert seen == [49]


def test_apply_async_that_waits_for_a_slot_can_be_killed() -> None:
    pool = gilpool.Pool(1)
    ran: list[int] = []
    with Held(pool):
        tasks = [pool.apply_async(ran.append, (n,)) for n in range(3)]
        tasks[1].kill()
        assert tasks[1].ready()
    gilpool.joinall(tasks)

    assert ran == [0, 2]


def test_apply_async_refuses_what_is_no_function() -> None:
    with pytest.raises(TypeError, match="callable"):
        gilpool.Pool().apply_async(3)  # type: ignore[arg-type]


# --- map ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_map_returns_results_in_order(size: int | None) -> None:
    pool = gilpool.Pool(size)

    assert pool.map(square_some_time, range(30)) == [n * n for n in range(30)]
    assert pool.map(square, []) == []
    assert pool.map(square, iter(range(1000))) == [n * n for n in range(1000)]
    assert pool.join(PATIENCE)


def test_map_raises_the_first_error_in_the_order_of_the_input(
    reports: list[BaseException],
) -> None:
    ran: list[int] = []

    def call(n: int) -> None:
        ran.append(n)
        if n in (3, 7):
            if n == 3:
                gilpool.sleep(0.02)  # the later item fails first
            raise KeyError(n)

    with pytest.raises(KeyError, match="3"):
        gilpool.Pool().map(call, range(20))
    settle()
    gc.collect()

    assert sorted(ran) == list(range(20))
    assert [error.args for error in reports] == [(7,)]  # nobody else has heard of it


def test_map_raises_an_error_of_the_input_and_what_is_spawned_goes_on() -> None:
    ran: list[int] = []
    pool = gilpool.Pool()
    with pytest.raises(InputError):
        pool.map(ran.append, numbers_then_error(5))
    assert pool.join(PATIENCE)

    assert sorted(ran) == list(range(5))


def test_map_refuses_bad_arguments() -> None:
    pool = gilpool.Pool()
    with pytest.raises(TypeError, match="callable"):
        pool.map(3, [1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="iterable"):
        pool.map(square, 3)  # type: ignore[arg-type]


def test_map_cb_and_map_async() -> None:
    seen: list[list[int]] = []
    pool = gilpool.Pool(1)

    assert pool.map_cb(square, [1, 2], seen.append) == [1, 4]
    with Held(pool):
        task = pool.map_async(square, [3, 4], seen.append)
        assert not task.ready()
    assert task.get(timeout=PATIENCE) == [9, 16]
    assert seen == [[1, 4], [9, 16]]
    with pytest.raises(KeyError):
        pool.map_async(fail, [KeyError()]).get(timeout=PATIENCE)


def test_spawn_many_returns_the_tasks_in_order() -> None:
    tasks = gilpool.Pool(3).spawn_many(square, range(100))

    assert [task.get() for task in tasks] == [n * n for n in range(100)]


def test_mapping_costs_little_more_than_the_tasks() -> None:
    """A step of Python code for each item would be seen here: the peer takes a few for each."""

    def best(call: Callable[[], object]) -> float:
        times = []
        for _ in range(7):
            begin = time.process_time()
            call()
            times.append(time.process_time() - begin)
        return min(times)

    items = list(range(-20_000, 0))

    def spawn_one_by_one() -> None:
        pool = gilpool.Pool()
        for task in [pool.spawn(abs, item) for item in items]:
            task.get()

    assert best(lambda: gilpool.Pool().map(abs, items)) < best(spawn_one_by_one)


# --- imap ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [0, 1, 3, 300])
@pytest.mark.parametrize("maxsize", [None, 0, 1, 5])
def test_imap_gives_all_results_in_order(size: int | None, count: int, maxsize: int | None) -> None:
    results = gilpool.Pool(size).imap(square, range(count), maxsize=maxsize)

    assert list(results) == [n * n for n in range(count)]
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(results)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("maxsize", [None, 1, 5])
def test_imap_unordered_gives_all_results(size: int | None, maxsize: int | None) -> None:
    pool = gilpool.Pool(size)
    results = pool.imap_unordered(square_some_time, range(50), maxsize=maxsize)

    assert sorted(results) == [n * n for n in range(50)]
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(results)
    assert list(pool.imap_unordered(square, [])) == []


def test_imap_unordered_gives_what_is_ready_first() -> None:
    locks = {n: threading.Lock() for n in range(3)}
    for lock in locks.values():
        lock.acquire()

    def call(n: int) -> int:
        assert locks[n].acquire(timeout=PATIENCE)
        return n

    results = gilpool.Pool().imap_unordered(call, range(3))
    for n in (2, 0, 1):
        locks[n].release()
        assert next(results) == n


@pytest.mark.parametrize("word", IMAPS)
def test_results_come_while_the_input_blocks(word: str) -> None:
    go = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        assert go.wait(PATIENCE)
        yield 2

    results = getattr(gilpool.Pool(), word)(square, slow())
    assert next(results) == 1
    go.set()
    assert list(results) == [4]


@pytest.mark.parametrize("word", IMAPS)
def test_several_iterables_are_read_together_until_the_shortest_ends(word: str) -> None:
    results = getattr(gilpool.Pool(), word)(pow, [2, 3, 4, 5], itertools.repeat(3), [5, 7])

    assert sorted(results) == sorted([pow(2, 3, 5), pow(3, 3, 7)])


@pytest.mark.parametrize("word", IMAPS)
@pytest.mark.parametrize("size", SIZES)
def test_an_error_of_a_call_is_raised_at_its_place_and_iteration_goes_on(
    word: str, size: int | None
) -> None:
    def call(n: int) -> int:
        if n % 3 == 1:
            raise KeyError(n)
        return n

    results = getattr(gilpool.Pool(size), word)(call, range(7))
    seen: list[str] = []
    while True:
        try:
            seen.append(str(next(results)))
        except KeyError as error:
            seen.append(f"error {error.args[0]}")
        except StopIteration:
            break
    expected = ["0", "error 1", "2", "3", "error 4", "5", "6"]

    assert (seen if word == "imap" else sorted(seen)) == (
        expected if word == "imap" else sorted(expected)
    )


@pytest.mark.parametrize("word", IMAPS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_an_error_of_the_input_is_raised_once_and_ends_it(
    word: str, size: int | None, count: int
) -> None:
    results = getattr(gilpool.Pool(size), word)(square, numbers_then_error(count))
    seen: list[int] = []
    errors = 0
    while True:
        try:
            seen.append(next(results))
        except InputError:
            errors += 1
        except StopIteration:
            break

    assert errors == 1
    assert sorted(seen) == [n * n for n in range(count)]


@pytest.mark.parametrize("word", IMAPS)
def test_stop_iteration_of_a_call_does_not_end_the_iteration(word: str) -> None:
    results = getattr(gilpool.Pool(), word)(fail, [StopIteration()])
    with pytest.raises(RuntimeError, match="StopIteration"):
        next(results)


@pytest.mark.parametrize("word", IMAPS)
@pytest.mark.parametrize("size", [1, 3])
def test_input_is_read_only_as_far_as_the_pool_has_slots(word: str, size: int) -> None:
    pool = gilpool.Pool(size)
    read: list[int] = []
    go = threading.Event()

    def numbers() -> Iterator[int]:
        for n in range(100):
            read.append(n)
            yield n

    def call(n: int) -> int:
        assert go.wait(PATIENCE)
        return n

    results = getattr(pool, word)(call, numbers())
    while len(read) <= size:
        gilpool.sleep(0.001)
    gilpool.sleep(0.02)  # time for one too many, if there is one
    assert len(read) == size + 1  # one in the hand, waiting for a slot
    go.set()
    assert sorted(results) == list(range(100))


@pytest.mark.parametrize("word", IMAPS)
def test_a_task_exit_of_the_input_is_raised_as_it_is(word: str) -> None:
    def numbers() -> Iterator[int]:
        raise gilpool.TaskExit("the input's own")
        yield 1

    results = getattr(gilpool.Pool(1), word)(abs, numbers())
    with pytest.raises(gilpool.TaskExit, match="the input's own"):
        next(results)
    assert list(results) == []


def test_an_imap_says_how_far_it_is() -> None:
    go = threading.Event()

    def numbers() -> Iterator[int]:
        yield 1
        assert go.wait(PATIENCE)

    results = gilpool.Pool().imap(abs, numbers())
    wait_until(lambda: repr(results).startswith("<IMap input=open unread=1 at 0x"))
    assert next(results) == 1
    assert "unread=0" in repr(results)
    go.set()
    assert list(results) == []
    assert "input=ended" in repr(results)
    results.close()
    assert "input=closed" in repr(results)


@pytest.mark.parametrize("word", ["apply_async", "apply_cb", "map_async", "map_cb"])
@pytest.mark.parametrize("make", [gilpool.Pool, gilpool.Group])
def test_a_callback_that_cannot_be_called_is_refused_before_anything_is(
    word: str, make: Any
) -> None:
    called: list[int] = []
    with pytest.raises(TypeError, match="callback must be callable or None, not int"):
        getattr(make(), word)(called.append, [1], callback=3)
    settle()
    assert called == []


def test_any_maxsize_is_had_at_once() -> None:
    pool = gilpool.Pool()
    assert list(pool.imap(abs, [-1, -2], maxsize=sys.maxsize)) == [1, 2]
    assert sorted(pool.imap_unordered(abs, [-1, -2], maxsize=10**30)) == [1, 2]


@pytest.mark.parametrize("word", IMAPS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("maxsize", [1, 3])
def test_maxsize_bounds_what_is_unread(word: str, size: int | None, maxsize: int) -> None:
    ran: list[int] = []

    def call(n: int) -> int:
        ran.append(n)
        return n

    results = getattr(gilpool.Pool(size), word)(call, itertools.count(), maxsize=maxsize)
    for already_read in range(20):
        while len(ran) < already_read + 1:
            gilpool.sleep(0.001)
        gilpool.sleep(0.002)  # time for one too many, if there is one
        assert len(ran) <= already_read + maxsize
        next(results)


def test_unread_results_are_bounded_by_default() -> None:
    pool = gilpool.Pool()
    results = pool.imap(square, itertools.count())
    while pool.stats()["finished"] < _imap.MOST_UNREAD:
        gilpool.sleep(0.001)
    gilpool.sleep(0.02)  # time for one too many, if there is one
    assert pool.stats()["spawned"] == _imap.MOST_UNREAD
    assert [next(results) for _ in range(3)] == [0, 1, 4]


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "match"),
    [
        ((square, [1]), {"maxsize": -1}, ValueError, "maxsize"),
        ((square, [1]), {"maxsize": 1.5}, TypeError, "maxsize"),
        ((square, [1]), {"nonsense": 1}, TypeError, "nonsense"),
        ((square,), {}, TypeError, "iterable"),
        ((square, 3), {}, TypeError, "iter"),
        ((3, [1]), {}, TypeError, "callable"),
    ],
)
@pytest.mark.parametrize("word", IMAPS)
def test_bad_arguments_are_refused_at_once(
    word: str, arguments: Any, keywords: Any, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        getattr(gilpool.Pool(), word)(*arguments, **keywords)


@pytest.mark.parametrize("word", IMAPS)
@pytest.mark.parametrize("maxsize", [None, 2])
def test_an_abandoned_iterator_lets_everything_go(word: str, maxsize: int | None) -> None:
    """Feeder, threads and tasks end, which the fixture checks; and the input is closed."""
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.set()

    pool = gilpool.Pool(2)
    results = getattr(pool, word)(square, endless(), maxsize=maxsize)
    assert len([next(results) for _ in range(3)]) == 3
    gone = weakref.ref(results)
    del results

    assert gone() is None
    assert closed.wait(PATIENCE)
    settle()
    assert pool.free_count() == 2


def test_leaving_a_loop_abandons_the_iterator() -> None:
    pool = gilpool.Pool(2)
    for n in pool.imap(square, itertools.count()):
        if n > 50:
            break
    settle()
    assert len(pool) == 0


def test_close_ends_the_input_and_leaves_what_has_been_started() -> None:
    pool = gilpool.Pool(1)
    with Held(pool):
        results = pool.imap(square, itertools.count())
        results.close()
        results.close()
    left = list(results)

    assert left == [n * n for n in range(len(left))]
    assert len(left) <= 1


@pytest.mark.parametrize("word", IMAPS)
def test_several_threads_may_read_one_iterator(word: str) -> None:
    results = getattr(gilpool.Pool(4), word)(square, range(2000), maxsize=10)
    parts = [gilpool.spawn(list, results) for _ in range(5)]
    together = itertools.chain.from_iterable(part.get(timeout=PATIENCE) for part in parts)

    assert sorted(together) == [n * n for n in range(2000)]


def test_a_wait_for_a_result_that_is_interrupted_can_be_repeated() -> None:
    go = threading.Event()
    readers = gilpool.Pool()

    def call(n: int) -> int:
        assert go.wait(PATIENCE)
        return n

    results = gilpool.Pool().imap(call, range(3))
    reader = readers.spawn(next, results)
    while readers.stats()["waiting"] == 0:
        gilpool.sleep(0.001)
    reader.kill()
    go.set()

    assert list(results) == [0, 1, 2]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("word", ["map", *IMAPS])
def test_mapping_within_tasks_of_the_same_pool(word: str, size: int | None) -> None:
    pool = gilpool.Pool(size)

    def inner(_: int) -> list[int]:
        return sorted(getattr(pool, word)(square, range(5)))

    assert pool.map(inner, range(3)) == [[0, 1, 4, 9, 16]] * 3


def test_exit_does_not_wait_for_results_that_nobody_reads(run_script: Script) -> None:
    """The main thread leaves one reading of an endless input open in each of the ways."""
    result = run_script("""
        import gilpool, itertools, time
        pool = gilpool.Pool(2)
        keep = [
            pool.imap(abs, itertools.count(), maxsize=3),
            pool.imap_unordered(abs, itertools.count()),
            gilpool.Group().imap(abs, itertools.count(), maxsize=1),
            pool.imap(gilpool.sleep, itertools.repeat(0.2)),
        ]
        print(next(keep[0]), flush=True)
    """)

    assert (result.returncode, result.stdout, result.stderr) == (0, "0\n", "")


def test_exit_runs_what_was_asked_for_to_its_end(run_script: Script) -> None:
    result = run_script("""
        import gilpool, time
        pool = gilpool.Pool(2)
        def work():
            time.sleep(0.2)
            print(sum(pool.imap(abs, range(-1000, 1))), flush=True)
        gilpool.spawn(work)
        later = [pool.apply_async(time.sleep, (0.01,)) for _ in range(10)]
        last = pool.apply_async(print, ("last",))
        pool.map_async(print, ["mapped"])
    """)

    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(result.stdout.split()) == ["500500", "last", "mapped"]
