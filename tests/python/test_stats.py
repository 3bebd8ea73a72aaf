"""Task.stats, Pool.stats, gilpool.stats: what they count, and that they add up."""

import time
from collections.abc import Iterator

import pytest

import gilpool
from _tools import PATIENCE, Held, fail, gil_kept, settle, wait_until


@pytest.fixture
def _collecting() -> Iterator[None]:
    gilpool.collect_stats()
    yield
    gilpool.collect_stats(False)


def test_nothing_is_measured_unless_asked() -> None:
    task = gilpool.spawn(int)
    task.join()

    assert task.stats is None


@pytest.mark.usefixtures("_collecting")
def test_wall_and_cpu_time_of_a_call() -> None:
    def work() -> None:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        gilpool.sleep(0.1)

    task = gilpool.spawn(work)
    task.join()
    stats = task.stats

    assert stats is not None
    assert set(stats) == {"queued", "gil_wait", "wall", "cpu"}
    assert all(seconds >= 0 for seconds in stats.values())
    assert 0.05 <= stats["cpu"] < stats["wall"]
    assert stats["wall"] >= 0.15


@pytest.mark.usefixtures("_collecting")
def test_queued_is_the_time_before_the_begin() -> None:
    with gil_kept():
        task = gilpool.spawn(int)
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass
        while_queued = task.stats
    task.join()
    stats = task.stats

    assert while_queued is None
    assert stats is not None
    assert stats["queued"] >= 0.05


@pytest.mark.usefixtures("_collecting")
@pytest.mark.parametrize("killed", [False, True])
def test_a_wait_without_a_thread_has_times_too(killed: bool) -> None:
    pool = gilpool.Pool(1)
    with Held(pool):
        task = pool.apply_async(gilpool.sleep, (1000 if killed else 0.02,))
        gilpool.sleep(0.01)
    wait_until(lambda: task.started)
    gilpool.sleep(0.01)
    if killed:
        task.kill()
    task.join()
    stats = task.stats

    assert stats is not None
    assert stats["wall"] >= (0.01 if killed else 0.02)
    assert (stats["gil_wait"], stats["cpu"]) == (0, 0)


@pytest.mark.usefixtures("_collecting")
def test_what_never_ran_has_no_times() -> None:
    with gil_kept():
        task = gilpool.spawn(int)
        task.kill(block=False)

    assert task.stats is None


def test_a_pool_counts_its_tasks() -> None:
    pool = gilpool.Pool()
    with Held(pool, count=3):
        stats = pool.stats()
        assert (stats["running"], stats["queued"], stats["spawned"]) == (3, 0, 3)
        with gil_kept():
            killed = pool.spawn(int)
            assert pool.stats()["queued"] == 1
            killed.kill(block=False)
        failed = pool.spawn(fail, KeyError())
        failed.join()
        assert failed.exception is not None
    assert pool.join()
    stats = pool.stats()

    assert (stats["running"], stats["queued"]) == (0, 0)
    assert (stats["spawned"], stats["finished"]) == (5, 5)


def test_a_pool_says_how_many_of_its_tasks_wait_in_gilpool() -> None:
    pool = gilpool.Pool(1)
    with Held() as held:
        waiter = pool.spawn(held.task.get)
        while pool.stats()["waiting"] == 0:
            gilpool.sleep(0.001)
        assert not pool.full()
    waiter.join()
    assert pool.stats()["waiting"] == 0


def test_the_process_counts_threads_and_tasks() -> None:
    settle()
    before = gilpool.stats()
    with Held(count=4):
        stats = gilpool.stats()
        assert stats["tasks"] == before["tasks"] + 4
        assert stats["task_objects"] >= before["task_objects"] + 4
        assert stats["threads"] >= 4
        assert stats["threads"] <= stats["thread_cap"]
        # A runner is seen off the GIL only if somebody wants to be the next one.
        assert stats["blocked"] >= 3
        assert stats["runners"] + stats["blocked"] == 4
    settle()

    assert gilpool.stats()["tasks"] == 0
    wait_until(lambda: gilpool.stats()["runners"] + gilpool.stats()["blocked"] == 0)


def test_a_second_runner_beside_tasks_that_keep_the_gil_is_counted() -> None:
    def keep_gil(seconds: float) -> None:
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    before = gilpool.stats()["second_runners"]
    pool = gilpool.Pool()
    deadline = time.monotonic() + PATIENCE
    # How soon tasks are known to compute depends on what came before.
    while gilpool.stats()["second_runners"] == before:
        assert time.monotonic() < deadline
        for task in [pool.spawn(keep_gil, 0.1) for _ in range(3)]:
            task.join()
