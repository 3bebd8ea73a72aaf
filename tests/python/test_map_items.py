"""What map's items are to those who look: Tasks of a pool, though most of them are never made."""

import contextvars
import gc
import itertools
import operator
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gilpool
from _tools import PATIENCE, Held, gil_kept, settle, wait_until
from conftest import Script

SIZES = [1, 3, None]

variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)


class Item:
    """An argument that can be watched."""


class Nasty:
    """An argument whose end runs code that meets the scheduler again."""

    def __init__(self, pool: gilpool.Pool, seen: list[Any]) -> None:
        self.pool, self.seen = pool, seen

    def __del__(self) -> None:
        self.seen.append((gilpool.getcurrent(), self.pool.map(abs, [-1, -2])))


@pytest.mark.parametrize("size", SIZES)
def test_each_item_has_a_fresh_context(size: int | None) -> None:
    def add(n: int) -> int:
        before = variable.get()
        if n % 3 == 0:
            variable.set(n + 1)
        return before

    assert gilpool.Pool(size).map(add, range(200)) == [0] * 200


def test_items_see_a_copy_of_the_mappers_context_where_the_pool_says_so() -> None:
    token = variable.set(7)
    try:
        assert gilpool.Pool(context="copy").map(lambda _: variable.get(), range(5)) == [7] * 5
    finally:
        variable.reset(token)


def test_items_that_block_overlap() -> None:
    """Every one waits for all the others: so each is taken by a worker of its own."""
    meeting = threading.Barrier(20)

    places = gilpool.Pool().map(lambda _: meeting.wait(PATIENCE), range(20))

    assert sorted(places) == list(range(20))


def test_a_sized_pool_has_no_more_items_going_than_slots() -> None:
    pool = gilpool.Pool(3)
    going = itertools.count()
    lock = threading.Lock()
    now = most = 0

    def call(n: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        next(going)
        gilpool.kernels.sleep(0.0005) if n % 2 else threading.Event().wait(0.0005)
        with lock:
            now -= 1
        return n

    assert pool.map(call, range(60)) == list(range(60))
    assert most <= 3
    assert next(going) == 60


def test_a_task_that_an_item_gets_hold_of_is_its_own_and_stays() -> None:
    pool = gilpool.Pool()
    kept: dict[int, gilpool.Task[Any]] = {}

    def call(n: int) -> int:
        task = gilpool.getcurrent()
        assert task is not None
        assert task in pool
        assert task.args == (n,)
        if n % 5 == 0:
            kept[n] = task
        return n * n

    assert pool.map(call, range(100)) == [n * n for n in range(100)]
    assert {n: task.get() for n, task in kept.items()} == {n: n * n for n in range(0, 100, 5)}
    assert len(set(kept.values())) == 20
    assert all(task not in pool for task in kept.values())


def test_links_and_weak_references_of_an_item_s_task_are_honoured() -> None:
    ended: list[int] = []
    watched: list[weakref.ref[Any]] = []

    def call(n: int) -> int:
        task = gilpool.getcurrent()
        assert task is not None
        if n == 1:
            task.link(lambda done: ended.append(done.get()))
        if n == 2:
            watched.append(weakref.ref(task))
        return n

    assert gilpool.Pool().map(call, range(5)) == list(range(5))
    settle()
    gc.collect()
    assert ended == [1]
    assert watched[0]() is None


@pytest.mark.parametrize("size", [None, 50])
def test_who_looks_at_the_pool_finds_tasks_and_may_kill_them(size: int | None) -> None:
    pool = gilpool.Pool(size)
    with Held(pool) as held:
        go = threading.Event()
        begun = threading.Event()

        def call(n: int) -> int:
            begun.set()
            assert go.wait(PATIENCE)
            return -n

        mapper = gilpool.spawn(pool.map, call, range(40))
        assert begun.wait(PATIENCE)
        wait_until(lambda: len(pool) == 41)
        tasks = {task.args[0]: task for task in pool if task is not held.task}
        assert sorted(tasks) == list(range(40))
        tasks[39].kill(block=False)
        go.set()
        results = mapper.get(timeout=PATIENCE)
    assert results[:39] == [-n for n in range(39)]
    assert isinstance(results[39], gilpool.TaskExit)


def test_items_that_are_queued_are_tasks_as_soon_as_somebody_looks() -> None:
    pool = gilpool.Pool()
    looks: list[list[gilpool.Task[Any]]] = []

    def call(n: int) -> int:
        if n == 4:
            looks.append(list(pool))
            looks.append(list(pool))
            queued = {task.args[0]: task for task in looks[0]}
            queued[7].kill(block=False)
            queued[8].link(lambda _: None)
        return -n

    with gil_kept():  # or else others would run some of them
        results = pool.map(call, range(10))
    assert looks[0] == looks[1]
    assert [task.name.rpartition(".")[2] for task in looks[0]] == ["call"] * 6
    assert isinstance(results.pop(7), gilpool.TaskExit)
    assert results == [-n for n in range(10) if n != 7]
    assert [task.get() for task in looks[0] if task is not looks[0][3]] == [-4, -5, -6, -8, -9]


def test_killing_the_pool_ends_every_item_and_the_map() -> None:
    pool = gilpool.Pool()
    begun = threading.Event()

    def call(n: int) -> int:
        if n >= 10:
            begun.set()
            gilpool.sleep(PATIENCE)
        return n

    mapper = gilpool.spawn(pool.map, call, range(300))
    assert begun.wait(PATIENCE)
    pool.kill()
    results = mapper.get(timeout=PATIENCE)

    assert results[:10] == list(range(10))
    assert all(isinstance(result, gilpool.TaskExit) for result in results[10:])
    assert len(pool) == 0


def test_counters_know_of_items_that_are_no_tasks() -> None:
    pool = gilpool.Pool()
    with gil_kept():
        seen: list[dict[str, int]] = []

        def call(n: int) -> None:
            if n == 4:
                seen.append({**pool.stats(), "len": len(pool)})

        pool.map(call, range(10))
    assert seen == [
        {
            "queued": 5,
            "running": 1,
            "waiting": 0,
            "in_line": 0,
            "spawned": 10,
            "finished": 4,
            "len": 6,
        }
    ]
    assert pool.stats()["finished"] == 10


@pytest.mark.parametrize("size", SIZES)
def test_an_item_is_dropped_with_its_call_and_the_function_with_the_map(size: int | None) -> None:
    given_items = [Item() for _ in range(20)]
    watched = [weakref.ref(item) for item in given_items]
    alive: list[int] = []

    def call(_: Item) -> None:
        given_items.clear()
        alive.append(sum(item() is not None for item in watched))

    function = weakref.ref(call)
    gilpool.Pool(size).map(call, given_items)
    assert len(alive) == 20
    assert all(item() is None for item in watched)
    if size == 1:
        assert alive == list(range(20, 0, -1))
    del call
    gc.collect()
    assert function() is None


@pytest.mark.parametrize("size", SIZES)
def test_the_end_of_an_item_may_run_any_code(size: int | None) -> None:
    pool = gilpool.Pool(size)
    seen: list[Any] = []

    def no_names() -> list[int]:
        return pool.map(id, [Nasty(pool, seen) for _ in range(30)])

    assert len(no_names()) == 30
    settle()
    gc.collect()
    assert [result for _, result in seen] == [[1, 2]] * 30
    assert len(pool) == 0


def test_a_list_may_change_while_it_is_mapped() -> None:
    items = [3, 2, 1]

    def call(n: int) -> int:
        items.clear()
        return n

    assert gilpool.Pool().map(call, items) == [3, 2, 1]


@pytest.mark.parametrize(
    "numbers",
    [
        range(10, -30, -7),
        range(0),
        range(10**20, 10**20 + 5),
        range(2**63 - 3, 2**63),
        range(-(2**63), 2**63, 2**62),
        range(5, 6, 2**70),
    ],
)
def test_ranges_of_all_kinds(numbers: range) -> None:
    assert gilpool.Pool().map(int, numbers) == list(numbers)


@pytest.mark.parametrize("make", [list, tuple, set, frozenset, dict.fromkeys, iter, range])
def test_inputs_of_all_kinds(make: Callable[[Any], Any]) -> None:
    given_items = 30 if make is range else range(30)
    assert gilpool.Pool(2).map(operator.neg, make(given_items)) == [-n for n in range(30)]


def test_the_first_error_is_raised_while_later_items_still_run() -> None:
    go = threading.Event()

    def call(n: int) -> None:
        if n == 3:
            raise KeyError(n)
        if n > 3:
            assert go.wait(PATIENCE)

    pool = gilpool.Pool()
    with pytest.raises(KeyError, match="3"):
        pool.map(call, range(8))
    assert len(pool) > 0
    go.set()
    assert pool.join(PATIENCE)


@pytest.mark.parametrize("size", SIZES)
def test_a_map_that_is_killed_leaves_what_it_has_queued(size: int | None) -> None:
    pool = gilpool.Pool(size)
    go = threading.Event()
    ran: list[int] = []

    def call(n: int) -> Item:
        assert go.wait(PATIENCE)
        ran.append(n)
        return Item()

    mapper = gilpool.spawn(pool.map, call, range(10))
    wait_until(lambda: len(pool) == (size or 10))
    mapper.kill()
    go.set()
    assert pool.join(PATIENCE)

    assert len(ran) == (size or 10)
    gc.collect()
    assert not any(isinstance(thing, Item) for thing in gc.get_objects())


def noted(count: int, read: list[int]) -> Iterator[int]:
    """The numbers below `count`, each added to `read` when it is."""
    for n in range(count):
        read.append(n)
        yield n


def quick_then(slow: Callable[[int], None]) -> Callable[[int], int]:
    """A call that ends at once for the first 2,000 numbers, so that the map reads far ahead."""

    def call(n: int) -> int:
        if n >= 2_000:
            slow(n)
        return n

    return call


def test_nothing_is_read_before_there_is_a_slot_while_calls_are_long() -> None:
    pool = gilpool.Pool(2)
    read: list[int] = []
    over: list[int] = []

    def call(n: int) -> int:
        time.sleep(0.02)  # long beside what a busy machine makes a thread wait
        assert len(read) <= len(over) + 2 + 1  # two that go, and one in the hand
        over.append(n)
        return n

    assert pool.map(call, noted(20, read)) == list(range(20))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mapper_is_a_task", [False, True])
def test_what_the_input_waits_for_is_called_meanwhile(
    size: int | None, mapper_is_a_task: bool
) -> None:
    """However far the map has read ahead: what was read gets its slot without the reader."""
    pool = gilpool.Pool(size)
    called = threading.Semaphore(0)

    def numbers() -> Iterator[int]:
        for n in range(2_050):
            yield n
            if n >= 2_000 or n % 100 == 99:
                for _ in range(1 if n >= 2_000 else 100):
                    assert called.acquire(timeout=PATIENCE), f"{n} has not been called"

    def call(n: int) -> int:
        called.release()
        return -n

    if mapper_is_a_task:
        results = pool.spawn(pool.map, call, numbers()).get(PATIENCE)
    else:
        results = pool.map(call, numbers())

    assert results == [-n for n in range(2_050)]


@pytest.mark.parametrize("size", SIZES)
def test_an_error_of_the_input_is_raised_and_what_was_read_is_called(size: int | None) -> None:
    pool = gilpool.Pool(size)
    called = []

    def numbers() -> Iterator[int]:
        yield from range(2_100)
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        pool.map(quick_then(called.append), numbers())
    assert pool.join(PATIENCE)

    assert called == list(range(2_000, 2_100)) if size == 1 else len(called) == 100


@pytest.mark.parametrize("size", [1, 3])
def test_a_map_that_is_killed_drops_what_it_has_read_and_found_no_slot_for(size: int) -> None:
    pool = gilpool.Pool(size)
    go, begun = threading.Event(), threading.Semaphore(0)
    read: list[int] = []

    def slow(n: int) -> None:
        begun.release()
        assert go.wait(PATIENCE)

    mapper = gilpool.spawn(pool.map, quick_then(slow), noted(10_000, read))
    for _ in range(size):
        assert begun.acquire(timeout=PATIENCE)
    mapper.kill()
    go.set()

    assert pool.join(PATIENCE)
    assert not begun.acquire(blocking=False)
    assert 2_000 < len(read) <= 2_000 + size + 128


def test_two_maps_of_one_pool_take_turns_at_its_slots() -> None:
    pool = gilpool.Pool(1)
    order: list[int] = []

    def call(which: int) -> None:
        order.append(which)
        time.sleep(0.01)  # in which a reader gets in line again, also on a busy machine

    with pool:
        maps = [pool.map_async(call, iter([which] * 20)) for which in range(2)]
        gilpool.joinall(maps)
    together = order[order.index(1 - order[0]) : 20]

    assert all(which != before for before, which in itertools.pairwise(together))


def test_an_input_that_forks_ends_the_childs_map_and_not_the_parents(run_script: Script) -> None:
    result = run_script("""
        import os, gilpool, warnings
        warnings.simplefilter("ignore")
        pool, parent, pids = gilpool.Pool(2), os.getpid(), []
        def numbers():
            for n in range(100):
                if n == 50:
                    pids.append(os.fork())
                yield n
        try:
            results = pool.map(abs, numbers())
        except RuntimeError as error:
            assert os.getpid() != parent and "forked" in str(error), error
            assert pool.map(abs, iter(range(-5, 0))) == [5, 4, 3, 2, 1]
            os._exit(42)
        assert os.getpid() == parent and results == list(range(100))
        print(os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]))
    """)

    assert (result.returncode, result.stdout, result.stderr) == (0, "42\n", "")


def test_a_long_map_lets_others_of_the_same_pool_and_of_another_one_run() -> None:
    pool = gilpool.Pool(1)
    order: list[str] = []

    def call(_: int) -> None:
        order.append("map")

    with Held(pool):
        mapper = gilpool.spawn(pool.map, call, range(2000))
        wait_until(lambda: pool.stats()["in_line"] == 1)
        same = gilpool.spawn(pool.apply, order.append, ("same",))
        wait_until(lambda: pool.stats()["in_line"] == 2)
        other = gilpool.Pool().spawn(order.append, "other")
    gilpool.joinall([mapper, same, other])

    assert order.index("same") < 10
    assert order.index("other") < 2000


def test_an_item_may_map_on_the_same_pool() -> None:
    pool = gilpool.Pool(2)

    def call(n: int) -> list[int]:
        return pool.map(operator.neg, range(n))

    assert pool.map(call, range(12)) == [[-i for i in range(n)] for n in range(12)]


def test_a_trace_may_begin_and_end_within_a_map(tmp_path: Any) -> None:
    trace = gilpool.gil.trace(tmp_path / "trace.json")
    begun = threading.Event()

    def call(n: int) -> int:
        if n == 100:
            trace.__enter__()
            begun.set()
        if n == 200:
            # As a trace opens its file, other items are begun, even this one.
            assert begun.wait(20)
            trace.__exit__(None, None, None)
        return n

    assert gilpool.Pool().map(call, range(300)) == list(range(300))
    assert trace.tasks > 0


def test_a_fork_amid_a_map_leaves_the_child_working(run_script: Script) -> None:
    result = run_script("""
        import os, threading, gilpool, warnings
        warnings.simplefilter("ignore")
        pool, go, begun = gilpool.Pool(), threading.Event(), threading.Semaphore(0)
        def call(n):
            begun.release()
            go.wait(20)
            return n
        mapper = gilpool.spawn(pool.map, call, range(100))
        for _ in range(3):
            begun.acquire(timeout=20)
        child = os.fork()
        if child == 0:
            assert len(pool) == 0, pool
            assert pool.map(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
            os._exit(42)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
        go.set()
        print(mapper.get(timeout=20) == list(range(100)))
    """)

    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")


Outcome = tuple[str, int]
BEHAVIOURS = ["plain", "plain", "plain", "error", "sleep", "wait", "keep", "context", "list"]


@settings(max_examples=60, deadline=None)
@given(
    behaviours=st.lists(st.sampled_from(BEHAVIOURS), max_size=40),
    size=st.sampled_from(SIZES),
    as_range=st.booleans(),
)
def test_map_says_what_its_tasks_would_say(
    behaviours: list[str], size: int | None, as_range: bool
) -> None:
    kept: list[Any] = []

    def call(n: int) -> Any:
        behaviour = behaviours[n]
        if behaviour == "error":
            raise KeyError(n)
        if behaviour == "sleep":
            gilpool.sleep(0.0002)
        elif behaviour == "wait":
            threading.Event().wait(0.0002)
        elif behaviour == "keep":
            kept.append(gilpool.getcurrent())
        elif behaviour == "context":
            assert variable.get() == 0
            variable.set(n)
        return [n] if behaviour == "list" else -n

    def outcome(results: Callable[[], list[Any]]) -> Any:
        try:
            return results()
        except KeyError as error:
            return error.args

    pool = gilpool.Pool(size)
    numbers = range(len(behaviours))

    def by_tasks() -> list[Any]:
        tasks = pool.spawn_many(call, numbers)
        gilpool.joinall(tasks)
        errors = [task.exception for task in tasks if task.exception is not None]
        if errors:
            raise errors[0]
        return [task.value for task in tasks]

    reports: list[Any] = []

    def report(arguments: Any) -> None:
        reports.append(arguments.exc_value.args)

    hook, threading.excepthook = threading.excepthook, report
    try:
        as_given = numbers if as_range else iter(numbers)
        assert outcome(lambda: pool.map(call, as_given)) == outcome(by_tasks)
        assert pool.join(PATIENCE)
        gc.collect()
    finally:
        threading.excepthook = hook
    assert len(reports) == max(behaviours.count("error") - 1, 0)
