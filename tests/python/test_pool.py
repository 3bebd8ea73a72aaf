"""Pool: spawning, limits, order, joining and leaving."""

import contextvars
import itertools
import math
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import gilpool
from _tools import gil_kept, settle, wait_until
from test_task import Blocked, fail


def test_spawn_needs_something_callable() -> None:
    pool = gilpool.Pool()

    with pytest.raises(TypeError, match="function must be callable, not int"):
        pool.spawn(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="needs a function"):
        pool.spawn()  # type: ignore[call-arg]
    assert pool.spawn(int).get() == 0


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"size": -1}, ValueError, "size must not be negative"),
        ({"size": 1.5}, TypeError, "size must be an int or None, not float"),
        ({"size": "3"}, TypeError, "size must be an int or None, not str"),
        ({"name": 3}, TypeError, "name must be a str or None, not int"),
        ({"nonsense": 3}, TypeError, "nonsense"),
    ],
)
def test_bad_constructor_arguments_are_named(
    arguments: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        gilpool.Pool(**arguments)


def test_attributes_and_repr() -> None:
    pool = gilpool.Pool(3, name="fetch", daemon=True)

    assert (pool.size, pool.name, pool.daemon) == (3, "fetch", True)
    pool.daemon = False
    assert pool.daemon is False
    assert repr(pool).startswith("<Pool name='fetch' size=3 tasks=0 at 0x")
    assert gilpool.Pool().size is None


def test_an_empty_pool_is_true_and_has_length_zero() -> None:
    pool = gilpool.Pool()

    assert pool
    assert len(pool) == 0


def test_length_counts_queued_and_running() -> None:
    pool = gilpool.Pool()
    blocked = [Blocked(pool) for _ in range(3)]
    try:
        assert len(pool) == 3
    finally:
        for one in blocked:
            one.release()
    assert pool.join(timeout=30)
    assert len(pool) == 0


def test_tasks_of_one_pool_start_in_the_order_of_spawning() -> None:
    order: list[int] = []
    pool = gilpool.Pool()
    for number in range(1000):
        pool.spawn(order.append, number)
    pool.join()

    assert order == list(range(1000))


def test_pool_with_a_size_never_runs_more_at_once() -> None:
    pool = gilpool.Pool(3)
    lock = threading.Lock()
    now = most = 0

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        gilpool.sleep(0.002)
        with lock:
            now -= 1

    for _ in range(60):
        pool.spawn(work)
        assert len(pool) <= 3
    pool.join()

    assert most == 3


def test_spawn_on_a_full_pool_waits_for_a_slot() -> None:
    pool = gilpool.Pool(1)
    blocked = Blocked(pool)
    spawned = threading.Event()

    def spawn() -> None:
        pool.spawn(int)
        spawned.set()

    spawner = threading.Thread(target=spawn)
    spawner.start()
    assert not spawned.wait(0.05)
    blocked.release()
    assert spawned.wait(30)
    spawner.join()
    assert pool.join(timeout=30)


def test_nested_spawn_and_get_does_not_exhaust_a_pool_of_one() -> None:
    pool = gilpool.Pool(1)

    def depth(n: int) -> int:
        return 0 if n == 0 else 1 + pool.spawn(depth, n - 1).get()

    assert pool.spawn(depth, 200).get() == 200
    assert pool.join(timeout=30)


def test_each_nested_level_runs_on_a_thread_of_its_own() -> None:
    def threads(n: int) -> set[int]:
        inner = gilpool.spawn(threads, n - 1).get() if n else set()
        return inner | {threading.get_native_id()}

    assert len(gilpool.spawn(threads, 20).get()) == 21


def test_join_waits_for_tasks_that_tasks_spawn() -> None:
    pool = gilpool.Pool()
    done: list[int] = []

    def generation(n: int) -> None:
        if n:
            pool.spawn(generation, n - 1)
        done.append(n)

    pool.spawn(generation, 20)
    assert pool.join()

    assert sorted(done) == list(range(21))


def test_join_that_runs_out_of_time_says_so() -> None:
    pool = gilpool.Pool()
    blocked = Blocked(pool)
    try:
        assert pool.join(timeout=0.01) is False
        assert pool.join(timeout=0) is False
    finally:
        blocked.release()
    assert pool.join(timeout=30) is True


def test_join_never_raises_what_tasks_raised() -> None:
    pool = gilpool.Pool()
    task = pool.spawn(fail, KeyError())

    assert pool.join() is True
    assert isinstance(task.exception, KeyError)


@pytest.mark.parametrize(("timeout", "error"), [("1", TypeError), (math.nan, ValueError)])
def test_bad_join_timeouts_name_the_argument(timeout: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="timeout"):
        gilpool.Pool().join(timeout=timeout)


def test_task_cannot_join_its_own_pool() -> None:
    pool = gilpool.Pool()

    with pytest.raises(RuntimeError, match="pool it runs in"):
        pool.spawn(pool.join).get()
    other = gilpool.Pool()
    assert pool.spawn(other.join).get() is True


def test_a_task_cannot_join_a_pool_that_it_takes_a_slot_of() -> None:
    pool = gilpool.Pool(2)

    def join_as_a_guest() -> None:
        pool.add(gilpool.getcurrent())
        pool.join()

    with pytest.raises(RuntimeError, match="takes a slot of"):
        gilpool.spawn(join_as_a_guest).get(timeout=30)
    assert pool.join(30)


def test_context_left_normally_joins() -> None:
    with gilpool.Pool() as pool:
        tasks = [pool.spawn(gilpool.sleep, 0.01) for _ in range(5)]

    assert all(task.ready() for task in tasks)


def test_context_left_by_an_exception_cancels_and_stops() -> None:
    sleepers: list[gilpool.Task[None]] = []

    def leave_by_an_exception() -> None:
        with gilpool.Pool() as pool:
            sleepers.extend(pool.spawn(gilpool.sleep, 1000) for _ in range(3))
            while not all(task.started for task in sleepers):
                gilpool.sleep(0.001)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        leave_by_an_exception()
    assert all(isinstance(task.get(), gilpool.TaskExit) for task in sleepers)


@pytest.mark.usefixtures("collector_calls_nothing")
@pytest.mark.parametrize("kind", ["Pool", "Group"])
@pytest.mark.parametrize(
    "how", ["spawn", "spawn_many", "apply_async", "map_async", "imap", "imap_unordered"]
)
def test_nothing_begins_after_the_exception_that_leaves_a_context(how: str, kind: str) -> None:
    begun: list[int] = []
    unfinished: list[Any] = []

    def body(number: int) -> None:
        begun.append(number)
        gilpool.sleep(1000)

    def leave_by_an_exception() -> None:
        with pool:
            if how == "spawn":
                pool.spawn(body, 0)
            elif how == "apply_async":
                unfinished.extend(pool.apply_async(body, (number,)) for number in range(100))
            elif how == "spawn_many":
                unfinished.extend(pool.spawn_many(body, range(2)))
            else:
                unfinished.append(getattr(pool, how)(body, itertools.count()))
            wait_until(lambda: begun)
            raise ZeroDivisionError

    pool: Any = gilpool.Pool(2) if kind == "Pool" else gilpool.Group()
    with pytest.raises(ZeroDivisionError):
        leave_by_an_exception()
    after = len(begun)
    settle()
    assert len(begun) == after
    if how.startswith("imap"):
        with pytest.raises(RuntimeError, match="the pool or group was killed"):
            for _ in unfinished[0]:
                pass
    assert len(pool) == 0


def test_context_left_by_an_exception_warns_of_what_is_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gilpool._collective._LEAVE_WITHIN", 0.05)
    pool = gilpool.Pool()
    blocked = Blocked(pool)

    with pytest.warns(RuntimeWarning, match=r"while tasks still run: Blocked\._run"):
        pool.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    blocked.release()
    assert pool.join(timeout=30)


def test_cancelled_tasks_never_run_and_succeed_with_task_exit() -> None:
    ran: list[int] = []
    pool = gilpool.Pool()
    tasks: list[gilpool.Task[Any]] = [pool.spawn(ran.append, number) for number in range(100)]
    pool._cancel_queued()
    pool.join()

    cancelled = [task for task in tasks if isinstance(task.value, gilpool.TaskExit)]
    assert len(ran) + len(cancelled) == 100
    assert all(task.successful() for task in tasks)


def test_every_task_starts_in_a_fresh_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="fresh")

    def look_and_set() -> str:
        seen = variable.get()
        variable.set("leaked")
        return seen

    variable.set("of the spawner")
    assert {gilpool.spawn(look_and_set).get() for _ in range(10)} == {"fresh"}


def test_spawn_works_from_any_thread() -> None:
    pool = gilpool.Pool()
    results: list[int] = []

    def spawn_some(number: int) -> None:
        results.extend(pool.spawn(pow, number, 2).get() for _ in range(50))

    threads = [threading.Thread(target=spawn_some, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(results) == sorted(number**2 for number in range(4) for _ in range(50))
    assert pool.join(timeout=30)


def test_a_pool_with_work_outlives_its_last_name() -> None:
    go = threading.Event()
    tasks = [gilpool.Pool().spawn(go.wait, 30) for _ in range(3)]
    go.set()

    assert all(task.get() for task in tasks)


def test_a_pool_without_work_is_collected() -> None:
    pool = gilpool.Pool()
    pool.spawn(int).get()
    assert pool.join(timeout=30)
    gone = weakref.ref(pool)
    del pool

    assert gone() is None


def test_pools_take_turns() -> None:
    """Behind one hog's thousand tasks another pool's single one does not wait for the last."""
    order: list[str] = []
    hog, other = gilpool.Pool(), gilpool.Pool()
    with gil_kept():  # the spawning in one stretch, so that both queues exist
        for _ in range(1000):
            hog.spawn(order.append, "hog")
        other.spawn(order.append, "other")
    hog.join()
    other.join()

    assert order.index("other") < 10


def test_a_hundred_thousand_tasks() -> None:
    pool = gilpool.Pool()
    tasks = [pool.spawn(abs, -number) for number in range(100_000)]
    pool.join()

    assert [task.value for task in tasks] == list(range(100_000))


def test_short_tasks_are_served_by_few_threads() -> None:
    """Without admission each queued task would get a thread of its own."""
    seen = {task.get() for task in [gilpool.spawn(threading.get_native_id) for _ in range(10_000)]}

    assert len(seen) < 100


@pytest.mark.parametrize("call", [lambda pool: pool.join(), lambda pool: pool.spawn(int).get()])
def test_waiting_releases_the_gil(call: Callable[[gilpool.Pool], object]) -> None:
    """Another thread must run for the wait to end at all."""
    pool = gilpool.Pool(1)
    blocked = Blocked(pool)
    timer = threading.Timer(0.02, blocked.release)
    timer.start()
    call(pool)
    timer.join()
