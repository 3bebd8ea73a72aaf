"""Pool's gevent words: add, start, discard, join, kill, and what happens when it is full."""

import gc
import queue
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import gilpool
from _tools import PATIENCE, Held, fail, gil_kept, settle, wait_until
from conftest import Script


def test_pool_full_is_a_full_queue() -> None:
    assert issubclass(gilpool.PoolFull, queue.Full)


@pytest.mark.parametrize("word", ["add", "start"])
def test_a_full_pool_refuses_at_once_or_in_time(word: str) -> None:
    pool = gilpool.Pool(1)
    task = gilpool.Task(int)
    limits: list[dict[str, Any]] = [{"blocking": False}, {"timeout": 0.01}, {"timeout": 0}]
    with Held(pool):
        for limit in limits:
            with pytest.raises(gilpool.PoolFull, match="no free slot"):
                getattr(pool, word)(task, **limit)
            assert task not in pool
        assert not task.started
    getattr(pool, word)(task)
    task.start()

    assert task.get() == 0
    settle()
    assert pool.free_count() == 1


def test_who_does_not_wait_lends_no_slot() -> None:
    pool = gilpool.Pool(1)

    def try_its_own_pool() -> list[Any]:
        refused = 0
        for _ in range(3):
            try:
                pool.start(gilpool.Task(int), blocking=False)
            except gilpool.PoolFull:
                refused += 1
        later = pool.apply_async(int)
        return [refused, len(pool), later.started, gilpool.Task(int).ready()]

    assert pool.apply(try_its_own_pool) == [3, 1, False, False]
    settle()


def test_add_takes_a_slot_until_the_task_is_done() -> None:
    pool = gilpool.Pool(2)
    with Held() as held:
        pool.add(held.task)
        pool.add(held.task)  # tracked already
        assert (len(pool), pool.free_count(), pool.full()) == (1, 1, False)
        assert held.task in pool
        assert list(pool) == [held.task]
        assert pool.join(timeout=0.01) is False
    assert pool.join(PATIENCE) is True
    assert (len(pool), pool.free_count(), held.task in pool) == (0, 2, False)
    pool.add(held.task)  # done already
    assert len(pool) == 0


@pytest.mark.parametrize("by", ["task", "pool"])
def test_a_task_added_before_it_starts_runs_in_its_slot(by: str) -> None:
    pool = gilpool.Pool(1)
    task = gilpool.Task(pow, 2, 3)
    pool.add(task)
    assert pool.full()
    if by == "task":
        task.start()
    else:
        pool.start(task)

    assert task.get() == 8
    assert pool.join(PATIENCE)


def test_starting_what_has_been_started_only_tracks_it() -> None:
    pool = gilpool.Pool(1)
    with Held() as held:
        pool.start(held.task)
        assert held.task in pool
        with pytest.raises(gilpool.PoolFull):
            pool.start(gilpool.Task(int), blocking=False)
    assert pool.join(PATIENCE)
    killed = gilpool.Task(int)
    killed.kill()
    pool.start(killed)
    assert len(pool) == 0


def test_discard_frees_the_slot_once() -> None:
    pool = gilpool.Pool(1)
    with Held(pool) as held:
        pool.discard(held.task)
        assert (len(pool), pool.free_count(), held.task in pool) == (0, 1, False)
        pool.discard(held.task)
        pool.discard(gilpool.Task(int))
        assert pool.free_count() == 1
        with Held(pool):
            assert pool.full()
    assert held.task.get() == "released"
    assert pool.join(PATIENCE)
    assert pool.free_count() == 1


def test_discard_of_an_added_task() -> None:
    pool = gilpool.Pool(1)
    with Held() as held:
        pool.add(held.task)
        pool.discard(held.task)
        assert pool.free_count() == 1
        pool.add(held.task)
        assert pool.full()
    assert pool.join(PATIENCE)


def test_a_discarded_queued_task_still_runs() -> None:
    pool = gilpool.Pool(1)
    with gil_kept():
        task = pool.spawn(pow, 2, 3)
        pool.discard(task)
        assert pool.free_count() == 1
    assert task.get(timeout=PATIENCE) == 8


def test_a_waiting_task_that_is_discarded_takes_its_lent_slot_along() -> None:
    pool = gilpool.Pool(1)
    with Held() as held:
        waiter = pool.spawn(held.task.get)
        while pool.stats()["waiting"] == 0:
            gilpool.sleep(0.001)
        pool.discard(waiter)
        assert pool.stats()["waiting"] == 0
        assert pool.free_count() == 1
        gone = weakref.ref(pool)
        del pool
        gc.collect()
        assert gone() is None  # the waiter comes back from its wait all the same
    assert waiter.get() == "released"


def test_objects_without_links_keep_their_slot_until_discarded() -> None:
    pool = gilpool.Pool(1)
    thing: Any = object()
    pool.add(thing)
    assert pool.join(timeout=0.01) is False
    assert pool.full()
    pool.discard(thing)
    assert pool.free_count() == 1


def test_a_pool_that_goes_forgets_what_it_only_counted() -> None:
    task = gilpool.Task(int)
    pool = gilpool.Pool(1)
    pool.add(task)
    task.unlink(pool._guest_ended)
    del pool
    gc.collect()

    assert gilpool.wait(timeout=0) is True
    task.start()
    assert task.get() == 0


def test_a_pool_of_size_zero_runs_nothing_until_it_grows() -> None:
    pool = gilpool.Pool(0)
    assert (pool.full(), pool.free_count(), pool.wait_available(timeout=0.01)) == (True, 0, 0)
    with pytest.raises(gilpool.PoolFull):
        pool.start(gilpool.Task(int), blocking=False)
    spawner = gilpool.spawn(pool.spawn, int)
    spawner.join(timeout=0.02)
    assert not spawner.ready()
    pool.size = 1
    assert spawner.get(timeout=PATIENCE).get() == 0


def test_size_may_change() -> None:
    pool = gilpool.Pool(3)
    with Held(pool, count=3):
        pool.size = 1
        assert (pool.full(), pool.free_count(), len(pool)) == (True, 0, 3)
        pool.size = 5
        assert pool.free_count() == 2
        pool.size = None
        assert pool.free_count() == 1
    bad: Any
    for bad, error in ((-1, ValueError), ("3", TypeError), (1.5, TypeError)):
        with pytest.raises(error, match="size"):
            pool.size = bad


def test_wait_available_waits_for_a_slot() -> None:
    assert gilpool.Pool().wait_available() == 1
    pool = gilpool.Pool(2)
    assert pool.wait_available() == 2
    with Held(pool, count=2) as held:
        assert pool.wait_available(timeout=0.01) == 0
        waiter = gilpool.spawn(pool.wait_available)
        held.release()
    assert waiter.get(timeout=PATIENCE) >= 1


def test_slots_reach_everyone_who_waits_for_one() -> None:
    """Some of those who wait give up, are killed, or only look: the others must not miss a slot."""
    pool = gilpool.Pool(1)
    with Held(pool) as held:
        spawners = [gilpool.spawn(pool.spawn, int) for _ in range(20)]
        late = [gilpool.spawn(pool.wait_available, 0.01) for _ in range(5)]
        killed = [gilpool.spawn(pool.spawn, int) for _ in range(5)]
        dead = [gilpool.Task(int) for _ in range(5)]
        starters = [gilpool.spawn(pool.start, task) for task in dead]
        gilpool.joinall(late)
        gilpool.killall([*killed, *dead])
        held.release()
    assert [spawner.get(timeout=PATIENCE).get() for spawner in spawners] == [0] * 20
    assert [starter.get(timeout=PATIENCE) for starter in starters] == [None] * 5


def wait_for_line(pool: gilpool.Pool, length: int) -> None:
    """Wait until so many calls wait for a slot of the pool."""
    wait_until(lambda: pool.stats()["in_line"] == length)


def test_slots_are_given_out_first_come_first_served() -> None:
    """Whatever the call that waits is, and also to the last one when nobody else comes."""
    pool = gilpool.Pool(1)
    order: list[int] = []
    guests = [gilpool.Task(int) for _ in range(10)]

    def enter(n: int) -> None:
        if n % 3 == 0:
            pool.spawn(order.append, n)
        elif n % 3 == 1:
            pool.start(gilpool.Task(order.append, n))
        else:
            pool.add(guests[n // 3])
            order.append(n)
            guests[n // 3].start()

    with Held(pool) as held:
        entering = []
        for n in range(30):
            entering.append(gilpool.spawn(enter, n))
            wait_for_line(pool, n + 1)
        held.release()
    gilpool.joinall(entering, timeout=PATIENCE, raise_error=True)
    assert pool.join(PATIENCE)
    assert order == list(range(30))


def test_spawners_of_many_take_turns() -> None:
    pool = gilpool.Pool(1)
    order: list[str] = []
    with Held(pool) as held:
        first = gilpool.spawn(pool.spawn_many, order.append, ["a"] * 50)
        wait_for_line(pool, 1)
        second = gilpool.spawn(pool.spawn_many, order.append, ["b"] * 50)
        wait_for_line(pool, 2)
        held.release()
    gilpool.joinall([*first.get(), *second.get()])
    assert order == ["a", "b"] * 50


def test_spawn_many_keeps_within_the_size_whatever_it_is_given() -> None:
    lock = threading.Lock()
    running = most = 0

    def work(_: Any) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gilpool.sleep(0.001)
        with lock:
            running -= 1

    pool = gilpool.Pool(3)
    kinds: list[Any] = [range(40), list(range(40)), {*range(40)}, dict.fromkeys(range(40))]
    for items in [*kinds, iter(range(40)), (n for n in range(40))]:
        assert len(pool.spawn_many(work, items)) == 40
        assert pool.join(PATIENCE)
    assert most == 3


def test_an_iterator_is_read_no_further_than_there_are_slots() -> None:
    pool = gilpool.Pool(2)
    items = iter(range(10))
    with Held(pool, count=2) as held:
        spawner = gilpool.spawn(pool.spawn_many, abs, items)
        wait_for_line(pool, 1)
        assert next(items) == 1  # one item has been read, and waits
        held.release()
    assert [task.get() for task in spawner.get()] == [0, 2, 3, 4, 5, 6, 7, 8, 9]


def test_a_killed_spawn_many_leaves_what_has_no_slot_unspawned() -> None:
    pool = gilpool.Pool(1)
    done: list[int] = []
    with Held(pool) as held:
        spawner = gilpool.spawn(pool.spawn_many, done.append, range(10))
        wait_for_line(pool, 1)
        spawner.kill()
        assert pool.stats()["in_line"] == 0
        held.release()
    assert pool.join(PATIENCE)
    assert done == []
    assert pool.spawn(int).get() == 0


def test_who_waits_in_line_shares_the_fate_of_a_broken_pool() -> None:
    go = threading.Event()

    def initialize() -> None:
        assert go.wait(PATIENCE)
        raise ZeroDivisionError

    pool = gilpool.Pool(1, initializer=initialize)
    first = pool.spawn(int)
    waiting = [gilpool.spawn(pool.spawn, int), gilpool.spawn(pool.spawn_many, abs, range(5))]
    wait_for_line(pool, 2)
    go.set()
    with pytest.raises(ZeroDivisionError):
        first.get(timeout=PATIENCE)
    for spawner in waiting:
        with pytest.raises(RuntimeError, match="initializer"):
            spawner.get(timeout=PATIENCE)
    assert pool.join(PATIENCE)


def test_a_task_killed_in_line_takes_no_slot() -> None:
    pool = gilpool.Pool(1)
    task = gilpool.Task(int)
    with Held(pool) as held:
        starter = gilpool.spawn(pool.start, task)
        wait_for_line(pool, 1)
        task.kill()
        elsewhere = gilpool.Task(pow, 2, 3)
        other = gilpool.spawn(pool.start, elsewhere)
        wait_for_line(pool, 2)
        elsewhere.start()
        assert elsewhere.get(timeout=PATIENCE) == 8
        held.release()
    gilpool.joinall([starter, other], timeout=PATIENCE, raise_error=True)
    assert isinstance(task.value, gilpool.TaskExit)
    assert pool.join(PATIENCE)


def test_the_error_of_an_iterable_comes_after_what_it_gave() -> None:
    done: list[int] = []

    def items() -> Iterator[int]:
        yield from range(10)
        raise ZeroDivisionError

    for size in (1, 3, None):
        pool = gilpool.Pool(size)
        with pytest.raises(ZeroDivisionError):
            pool.spawn_many(done.append, items())
        assert pool.join(PATIENCE)
        assert sorted(done) == list(range(10))
        done.clear()


def test_a_task_may_fill_its_own_pool() -> None:
    pool = gilpool.Pool(1)

    def parent() -> list[int]:
        return [task.get() for task in [pool.spawn(pow, 2, n) for n in range(20)]]

    assert pool.spawn(parent).get(timeout=PATIENCE) == [2**n for n in range(20)]
    assert pool.spawn(pool.map, abs, range(20)).get(timeout=PATIENCE) == list(range(20))


def test_nested_spawn_and_get_a_thousand_deep_on_a_pool_of_one(run_script: Script) -> None:
    result = run_script(
        """
        import gilpool, threading
        pool = gilpool.Pool(1)
        threads = set()

        def depth(n):
            threads.add(threading.get_native_id())
            return 0 if n == 0 else 1 + pool.spawn(depth, n - 1).get()

        assert pool.spawn(depth, 1000).get() == 1000
        assert len(threads) == 1001, len(threads)
        assert pool.join(10) and pool.free_count() == 1
        """,
        timeout=120,
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_join_reports_an_error_only_if_asked(reports: list[BaseException]) -> None:
    pool = gilpool.Pool()
    with gil_kept():
        task = pool.spawn(fail, KeyError("lost"))
        assert pool.join() is True
    assert isinstance(task.exception, KeyError)
    with gil_kept():
        pool.spawn(fail, KeyError("lost"))
        with pytest.raises(KeyError, match="lost"):
            pool.join(raise_error=True)
    assert pool.join(raise_error=True) is True  # nobody who failed is a member any more
    assert reports == []


def test_join_raises_a_members_error_also_after_a_timeout() -> None:
    pool = gilpool.Pool()
    with Held(pool), gil_kept():
        pool.spawn(fail, KeyError("lost"))
        with pytest.raises(KeyError, match="lost"):
            pool.join(timeout=0.2, raise_error=True)


def test_kill_ends_all_and_lets_nothing_begin() -> None:
    ran: list[int] = []
    pool = gilpool.Pool()
    sleepers = [pool.spawn(gilpool.sleep, 1000) for _ in range(5)]
    with gil_kept():
        queued = [pool.spawn(ran.append, number) for number in range(5)]
        added = gilpool.Task(ran.append, 9)
        pool.add(added)
        pool.kill(block=False)
    pool.kill()

    assert ran == []
    assert len(pool) == 0
    everyone: list[gilpool.Task[Any]] = [*sleepers, *queued, added]
    assert all(isinstance(task.get(), gilpool.TaskExit) for task in everyone)


def test_kill_reaches_what_dying_tasks_spawn() -> None:
    pool = gilpool.Pool()
    spawned: list[gilpool.Task[Any]] = []

    def heir() -> None:
        try:
            gilpool.sleep(1000)
        finally:
            if len(spawned) < 5:
                spawned.append(pool.spawn(heir))

    first = pool.spawn(heir)
    while "running" not in repr(first):
        gilpool.sleep(0.001)
    gilpool.sleep(0.01)
    pool.kill(timeout=PATIENCE)

    assert len(pool) == 0
    assert all(task.ready() for task in spawned)


def test_kill_with_a_timeout_returns_silently() -> None:
    pool = gilpool.Pool()
    with Held(pool) as held:
        pool.kill(timeout=0.01)
        assert not held.task.ready()
    assert isinstance(held.task.get(), gilpool.TaskExit)


def test_killone_ends_only_tracked_tasks() -> None:
    pool = gilpool.Pool()
    mine, other = pool.spawn(gilpool.sleep, 1000), gilpool.spawn(gilpool.sleep, 1000)
    pool.killone(other)
    pool.killone(mine)
    assert mine.ready()
    assert not other.ready()
    other.kill()


def test_a_subclass_chooses_its_own_constructor() -> None:
    class Fetchers(gilpool.Pool):
        def __init__(self, hosts: list[str]) -> None:
            super().__init__(len(hosts), name="fetchers")
            self.hosts = hosts

    pool = Fetchers(["a", "b"])
    assert (pool.size, pool.name, pool.hosts) == (2, "fetchers", ["a", "b"])
    with pool as entered:
        assert entered.spawn(int).get() == 0


def test_an_idle_pool_is_in_no_cycle() -> None:
    pool = gilpool.Pool(2)
    assert pool.map(abs, [-1]) == [1]
    assert list(pool.imap_unordered(abs, [-1])) == [1]
    assert pool.apply_async(abs, (-1,)).get() == 1
    assert pool.join(PATIENCE)
    settle()
    gone = weakref.ref(pool)
    del pool

    assert gone() is None


def test_a_pool_left_by_an_exception_kills_what_was_added_too() -> None:
    pool = gilpool.Pool()
    task = gilpool.spawn(gilpool.sleep, 1000)

    def leave_by_an_exception() -> None:
        with pool:
            pool.add(task)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        leave_by_an_exception()
    assert isinstance(task.get(timeout=PATIENCE), gilpool.TaskExit)


def test_guests_and_waiting_tasks_do_not_hang_a_forked_child(run_script: Script) -> None:
    """Their slots belong to the parent: the child's pools are empty, and its exit ends."""
    result = run_script("""
        import gilpool, os, threading, warnings
        warnings.simplefilter("ignore")
        go = threading.Event()
        pool, waiting = gilpool.Pool(2), gilpool.Pool(1)
        task = gilpool.spawn(go.wait, 30)
        pool.add(task)
        group = gilpool.Group([task])
        waiter = waiting.spawn(task.get)
        while waiting.stats()["waiting"] == 0:
            gilpool.sleep(0.001)
        child = os.fork()
        if child == 0:
            assert pool.join(5) and pool.free_count() == 2, pool
            assert waiting.join(5) and waiting.stats()["waiting"] == 0, waiting.stats()
            assert waiting.free_count() == 1
            assert group.join(5)
            assert waiting.spawn(pow, 2, 3).get() == 8
        else:
            assert os.waitpid(child, 0)[1] == 0
            go.set()
            assert waiter.get() is True
            assert pool.join(5)
    """)

    assert (result.returncode, result.stderr) == (0, "")


def test_exit_waits_for_links(run_script: Script) -> None:
    """Longer than exit waits for a worker that has nothing to run."""
    result = run_script("""
        import gilpool, time
        task = gilpool.Task(int)
        def link(_):
            time.sleep(0.6)
            print("link ended", flush=True)
        task.link(link)
        task.start()
    """)

    assert (result.returncode, result.stdout, result.stderr) == (0, "link ended\n", "")


def test_spawn_later_runs_not_before_its_time() -> None:
    begin = time.monotonic()
    late = gilpool.spawn_later(0.05, time.monotonic).get(timeout=PATIENCE)

    assert late - begin >= 0.05


def test_spawn_later_that_is_killed_before_its_time_never_runs() -> None:
    ran: list[int] = []
    task = gilpool.spawn_later(1000, ran.append, 1)
    task.kill()

    assert isinstance(task.get(), gilpool.TaskExit)
    assert ran == []


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_spawn_later_refuses_bad_times(seconds: float) -> None:
    with pytest.raises(ValueError, match="seconds"):
        gilpool.spawn_later(seconds, int)
    with pytest.raises(TypeError):
        gilpool.spawn_later(1, 3)  # type: ignore[arg-type]
