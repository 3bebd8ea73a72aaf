"""wait, iwait, joinall, killall: order, counts, time-outs, and no trace left behind."""

import contextlib
import copy
import decimal
import fractions
import gc
import itertools
import math
import pickle
import resource
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gilpool
from _tools import PATIENCE, Held, fail, gil_kept, settle, wait_until


def test_wait_returns_all_in_the_order_in_which_they_end() -> None:
    locks = [threading.Lock() for _ in range(3)]
    for lock in locks:
        lock.acquire()
    tasks = [gilpool.spawn(lock.acquire) for lock in locks]

    def release() -> None:
        for number in (2, 0, 1):
            locks[number].release()
            tasks[number].join()

    releaser = gilpool.spawn(release)

    assert gilpool.wait(tasks) == [tasks[2], tasks[0], tasks[1]]
    releaser.join()


def test_wait_for_what_is_done_already_keeps_the_order_given() -> None:
    tasks = [gilpool.spawn(int) for _ in range(5)]
    settle()

    assert gilpool.wait(reversed(tasks)) == tasks[::-1]


def test_wait_that_runs_out_of_time_returns_what_is_done() -> None:
    with Held() as held:
        done = gilpool.spawn(int)
        done.join()
        assert gilpool.wait([held.task, done], timeout=0.01) == [done]
        assert gilpool.wait([held.task], timeout=0) == []
        assert gilpool.wait([held.task], timeout=-1) == []


def test_wait_for_some() -> None:
    with Held() as held:
        done = [gilpool.spawn(int) for _ in range(3)]
        assert len(gilpool.wait([held.task, *done], count=2)) == 2
        assert gilpool.wait([held.task, *done], count=0) == []
    assert len(gilpool.wait(done, count=100)) == 3
    with pytest.raises(ValueError, match="count"):
        gilpool.wait(done, count=-1)


def test_wait_for_nothing_is_over_at_once() -> None:
    assert gilpool.wait([]) == []
    assert gilpool.joinall([]) == []
    assert list(gilpool.iwait([])) == []
    gilpool.killall([])


def test_duplicates_count() -> None:
    with Held() as held:
        a, b = held.task, gilpool.spawn(int)
        held.release()
        assert sorted(map(id, gilpool.joinall([a, b, a]))) == sorted(map(id, [a, b, a]))


def test_wait_never_raises_what_tasks_raised(reports: list[BaseException]) -> None:
    tasks = [gilpool.spawn(fail, KeyError(number)) for number in range(3)]

    assert len(gilpool.wait(tasks)) == 3
    assert len(gilpool.joinall(tasks)) == 3
    assert len(list(gilpool.iwait(tasks))) == 3
    assert reports == []


def test_wait_without_tasks_waits_for_all_there_are() -> None:
    pool = gilpool.Pool()
    with Held(pool):
        assert gilpool.wait(timeout=0.01) is False
    assert gilpool.wait() is True
    assert len(pool) == 0


def test_a_task_cannot_wait_for_itself_or_for_everything() -> None:
    def wait_for_self(call: Callable[[Any], object]) -> str:
        with pytest.raises(RuntimeError, match="itself"):
            call(gilpool.getcurrent())
        return "refused"

    for call in (
        lambda me: gilpool.wait([me]),
        lambda me: gilpool.joinall([gilpool.spawn(int), me]),
        lambda me: next(gilpool.iwait([me])),
        lambda _: gilpool.wait(),
    ):
        assert gilpool.spawn(wait_for_self, call).get() == "refused"


def test_only_what_can_be_linked_can_be_waited_for() -> None:
    with Held() as held:
        with pytest.raises(TypeError, match="not int"):
            gilpool.wait([held.task, 3])  # type: ignore[type-var]
        ended = gilpool.iwait([3])  # type: ignore[type-var]
        for _ in range(2):
            with pytest.raises(TypeError, match="not int"):
                next(ended)


class Countable:
    def __index__(self) -> int:
        return 0


@pytest.mark.parametrize(
    "timeout",
    [
        decimal.Decimal(0),
        fractions.Fraction(0),
        pytest.param(Countable(), id="__index__"),
        False,
        -math.inf,
        pytest.param(10**400, id="10**400"),
        1j,
        b"1",
    ],
)
def test_all_waits_take_the_same_timeouts(timeout: Any) -> None:
    """The native ones, of which the first is one, and those written in Python."""

    def said(call: Any, *args: Any) -> str:
        try:
            call(*args, timeout=timeout)
        except gilpool.WaitTimeout:
            return "late"
        except Exception as error:
            return repr(error)
        return "late"

    with Held() as held:
        pool, task = gilpool.Pool(0), held.task
        calls = [
            (task.get,),
            (gilpool.wait, [task]),
            (gilpool.joinall, [task]),
            (lambda timeout: list(gilpool.iwait([task], timeout=timeout)),),
            (gilpool.Group([task]).join,),
            (gilpool.Group().wait_available,),
            (pool.wait_available,),
            (pool.kill,),
        ]
        assert len({said(*call) for call in calls}) == 1


@pytest.mark.parametrize("objects", [[], None])
@pytest.mark.parametrize("count", [1.5, "x"])
def test_bad_counts_are_named(objects: Any, count: Any) -> None:
    words = f"count must be an int or None, not {type(count).__name__}"
    with pytest.raises(TypeError, match=words):
        gilpool.wait(objects, count=count)
    for call in (gilpool.iwait, gilpool.joinall):
        with pytest.raises(TypeError, match=words):
            call([], count=count)


def test_an_iteration_says_how_far_it_is() -> None:
    done = gilpool.spawn(int)
    done.join()
    ended = gilpool.iwait([done, done, done], count=2)
    assert repr(ended).startswith("<iwait left=2 of=3 at 0x")
    next(ended)
    assert repr(ended).startswith("<iwait left=1 of=3 at 0x")
    ended.close()
    assert repr(ended).startswith("<iwait left=0 of=3 at 0x")


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize(
    "make",
    [
        gilpool.Pool,
        gilpool.Group,
        lambda: gilpool.Task(int),
        lambda: gilpool.iwait([]),
        lambda: gilpool.Pool().imap(abs, []),
    ],
    ids=["Pool", "Group", "Task", "iwait", "imap"],
)
def test_what_belongs_to_tasks_is_not_copied(duplicate: Any, make: Any) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        duplicate(make())


@pytest.mark.parametrize(("timeout", "error"), [("1", TypeError), (float("nan"), ValueError)])
@pytest.mark.parametrize("call", [gilpool.wait, gilpool.iwait, gilpool.joinall])
def test_bad_timeouts_are_named(call: Any, timeout: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout"):
        call([], timeout=timeout)


def test_anything_with_rawlink_will_do() -> None:
    class Foreign:
        def __init__(self) -> None:
            self.callbacks: list[Callable[[Any], object]] = []

        def rawlink(self, callback: Callable[[Any], object]) -> None:
            self.callbacks.append(callback)

    foreign = Foreign()
    assert gilpool.wait([foreign], timeout=0.01) == []
    task = gilpool.spawn(lambda: [callback(foreign) for callback in foreign.callbacks])
    task.join()
    foreign.callbacks.clear()

    def end_it() -> None:
        while not foreign.callbacks:
            gilpool.sleep(0.001)
        foreign.callbacks[0](foreign)

    ender = gilpool.spawn(end_it)
    assert gilpool.wait([foreign], timeout=PATIENCE) == [foreign]
    ender.join()


# --- iwait --------------------------------------------------------------------------------------


def test_iwait_gives_each_as_it_ends() -> None:
    lock = threading.Lock()
    lock.acquire()
    late = gilpool.spawn(lock.acquire)
    early = gilpool.spawn(int)
    ended = gilpool.iwait([late, early])
    assert next(ended) is early
    lock.release()

    assert next(ended) is late
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(ended)


def test_iwait_that_runs_out_of_time_ends_silently() -> None:
    with Held() as held:
        done = gilpool.spawn(int)
        assert list(gilpool.iwait([held.task, done], timeout=0.1)) == [done]


@pytest.mark.parametrize("how", ["count", "with", "drop", "timeout"])
def test_iwait_takes_its_links_back(how: str) -> None:
    with Held() as held:
        done = gilpool.spawn(int)
        before = sys.getrefcount(held.task)
        if how == "count":
            assert list(gilpool.iwait([done, held.task], count=1)) == [done]
        elif how == "timeout":
            assert list(gilpool.iwait([done, held.task], timeout=0.01)) == [done]
        elif how == "with":
            with gilpool.iwait([done, held.task]) as ended:
                assert next(ended) is done
            del ended
        else:
            for _ in gilpool.iwait([done, held.task]):
                break
        after = sys.getrefcount(held.task)
        links = str(gc.get_referents(*gc.get_referents(held.task)))
        assert (after, "Mailbox" in links) == (before, False)


# --- joinall ------------------------------------------------------------------------------------


def test_joinall_raises_the_first_error_to_happen() -> None:
    lock = threading.Lock()
    lock.acquire()

    def late() -> None:
        with lock:
            raise ValueError("late")

    tasks: list[gilpool.Task[Any]] = [gilpool.spawn(late), gilpool.spawn(fail, KeyError("early"))]
    with pytest.raises(KeyError, match="early"):
        gilpool.joinall(tasks, raise_error=True)
    lock.release()
    with pytest.raises(ValueError, match="late"):
        gilpool.joinall(tasks[:1], raise_error=True)
    assert len(gilpool.joinall(tasks)) == 2


def test_joinall_with_count_raises_only_what_it_has_seen() -> None:
    good = gilpool.spawn(int)
    good.join()
    with Held() as held:
        assert gilpool.joinall([good, held.task], raise_error=True, count=1) == [good]


# --- killall ------------------------------------------------------------------------------------


def test_killall_ends_everything_and_lets_nothing_begin() -> None:
    ran: list[int] = []
    sleepers = [gilpool.spawn(gilpool.sleep, 1000) for _ in range(10)]
    with gil_kept():
        queued = [gilpool.spawn(ran.append, number) for number in range(10)]
        fresh = [gilpool.Task(ran.append, number) for number in range(10)]
        gilpool.killall(iter([*sleepers, *queued, *fresh]), block=False)
    gilpool.wait([*sleepers, *queued, *fresh])

    assert ran == []
    assert all(isinstance(task.get(), gilpool.TaskExit) for task in [*sleepers, *queued, *fresh])


def test_killall_that_runs_out_of_time_raises() -> None:
    with Held(count=2) as held:
        done = gilpool.spawn(int)
        done.join()
        with pytest.raises(gilpool.WaitTimeout, match="2 of 3"):
            gilpool.killall([*held.tasks, done], timeout=0.01)
    assert all(isinstance(task.get(), gilpool.TaskExit) for task in held.tasks)


def test_killall_raises_the_given_exception_in_them() -> None:
    class CustomError(Exception):
        pass

    task = gilpool.spawn(gilpool.sleep, 1000)
    gilpool.killall([task], CustomError)
    with pytest.raises(CustomError):
        task.get()


def test_killall_by_one_of_them_ends_that_one_last() -> None:
    others = [gilpool.spawn(gilpool.sleep, 1000) for _ in range(3)]
    ended: list[bool] = []

    def kill_all() -> None:
        me = gilpool.getcurrent()
        assert me is not None
        try:
            gilpool.killall([me, *others])
        finally:
            ended.extend(task.ready() for task in others)

    assert isinstance(gilpool.spawn(kill_all).get(), gilpool.TaskExit)
    assert ended == [True] * 3


# --- slots, signals, cost -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "wait", [gilpool.wait, gilpool.joinall, lambda tasks: list(gilpool.iwait(tasks))]
)
def test_a_task_that_waits_lends_its_slot(wait: Callable[[list[Any]], list[Any]]) -> None:
    pool = gilpool.Pool(1)

    def parent() -> int:
        return len(wait([pool.spawn(int) for _ in range(5)]))

    assert pool.spawn(parent).get(timeout=PATIENCE) == 5


def test_waiting_costs_no_cpu() -> None:
    with Held() as held:
        before = time.process_time()
        gilpool.wait([held.task], timeout=0.5)
        list(gilpool.iwait([held.task], timeout=0.5))
        assert time.process_time() - before < 0.25  # a loop that polls would take all of it


def test_a_thousand_ends_wake_a_waiter_for_all_once() -> None:
    """Seen by the switches of its thread, which sleeps once for all of them."""
    lock = threading.Lock()
    lock.acquire()

    def held() -> None:
        with lock:
            pass

    tasks = [gilpool.spawn(held), *(gilpool.spawn(int) for _ in range(1000))]
    switches = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    releaser = threading.Timer(0.05, lock.release)
    releaser.start()
    assert len(gilpool.wait(tasks)) == 1001
    switches = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - switches
    releaser.join()

    assert switches < 200


@pytest.mark.parametrize("how", ["get", "joinall", "pool", "group"])
def test_what_failed_is_dropped_with_the_exception_that_a_wait_raises(how: str) -> None:
    """It is in no cycle with its own traceback, where it would stay until the collector comes."""

    class Local:
        pass

    def fail_with_a_local() -> None:
        local = Local()
        gone.append(weakref.ref(local))
        assert go.wait(PATIENCE)
        raise ZeroDivisionError

    gone: list[weakref.ref[Local]] = []
    go = threading.Event()
    pool = gilpool.Pool()
    group = gilpool.Group()
    task = pool.spawn(fail_with_a_local)
    group.add(task)
    threading.Timer(0.01, go.set).start()
    gc.disable()
    try:
        # In this very frame, for every frame that is passed holds what it has been given.
        if how == "get":
            task.get()
        elif how == "joinall":
            gilpool.joinall([task], raise_error=True)
        elif how == "pool":
            pool.join(raise_error=True)
        else:
            group.join(raise_error=True)
        raise AssertionError("nothing was raised")
    except ZeroDivisionError:
        pass
    finally:
        del task
        settle()
        try:
            wait_until(lambda: gone[0]() is None)
        finally:
            gc.enable()


def test_an_iterator_dropped_after_an_error_reads_no_further() -> None:
    read: list[int] = []

    def numbers() -> Iterator[int]:
        for number in itertools.count():
            read.append(number)
            yield number

    def use() -> None:
        results = gilpool.Pool(2).imap(fail_at_three, numbers())
        with contextlib.suppress(ZeroDivisionError):
            for _ in results:
                pass

    def fail_at_three(number: int) -> None:
        if number == 3:
            raise ZeroDivisionError
        gilpool.sleep(0.0001)

    gc.disable()
    try:
        use()
        settle()  # which an input without an end would never let happen
    finally:
        gc.enable()
