"""await task: no thread waits, one wake-up for many results, and cancelling spares running work."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

import gilpool
from _tools import PATIENCE, Held, fail, gil_kept, settle
from gilpool import _await

T = TypeVar("T")


async def wait(task: "gilpool.Task[T]") -> T:
    return await task


async def begun_waits(*tasks: "gilpool.Task[T]") -> "list[asyncio.Task[T]]":
    """One await for each task, all of them waiting by now."""
    waits = [asyncio.ensure_future(wait(task)) for task in tasks]
    await asyncio.sleep(0)
    return waits


def run_on_a_thread(main: Coroutine[Any, Any, T]) -> "tuple[threading.Thread, list[T]]":
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(main)))
    thread.start()
    return thread, results


def test_await_gives_the_result_or_raises_the_error() -> None:
    async def main() -> None:
        assert await gilpool.spawn(pow, 2, 10) == 1024
        error = KeyError("lost")
        with pytest.raises(KeyError) as info:
            await gilpool.spawn(fail, error)
        assert info.value is error
        done = gilpool.spawn(int)
        done.join()
        assert await done == 0
        assert await done == 0
        killed = gilpool.Task(int)
        killed.kill()
        assert isinstance(await killed, gilpool.TaskExit)

    asyncio.run(main())


def test_the_loop_goes_on_while_a_task_is_awaited() -> None:
    async def main() -> int:
        go = threading.Event()
        (waiting,) = await begun_waits(gilpool.spawn(go.wait, PATIENCE))
        ticks = 0
        while ticks < 20:
            await asyncio.sleep(0.001)
            assert not waiting.done()
            ticks += 1
        go.set()
        assert await waiting is True
        return ticks

    assert asyncio.run(main()) == 20


def test_awaiting_takes_no_thread() -> None:
    async def main() -> None:
        go = threading.Event()
        task = gilpool.spawn(go.wait, PATIENCE)
        while "running" not in repr(task):
            await asyncio.sleep(0.001)
        before = threading.active_count()
        waits = await begun_waits(*[task] * 100)
        assert threading.active_count() <= before
        go.set()
        assert await asyncio.gather(*waits) == [True] * 100

    asyncio.run(main())


def test_gather_wait_for_and_as_completed_take_tasks() -> None:
    async def main() -> None:
        tasks = [gilpool.spawn(pow, 2, n) for n in range(100)]
        assert await asyncio.gather(*tasks) == [2**n for n in range(100)]
        assert await asyncio.wait_for(gilpool.spawn(int), PATIENCE) == 0
        both = asyncio.as_completed([gilpool.spawn(int), gilpool.spawn(int)])
        assert [await one for one in both] == [0, 0]

    asyncio.run(main())


def test_results_that_arrive_together_cost_one_wake_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        original = loop.call_soon_threadsafe
        calls = 0

        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            return original(*args, **kwargs)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        fresh = [gilpool.Task(int) for _ in range(1000)]
        waits = await begun_waits(*fresh)
        with gil_kept():
            for task in fresh:
                task.start()
            gilpool.joinall(fresh)  # the loop does not run meanwhile
        assert await asyncio.gather(*waits) == [0] * 1000
        return calls

    # One for the first, and one more if the loop looks before the last link has been called.
    assert asyncio.run(main()) <= 3


def test_cancelling_an_await_kills_what_has_not_begun() -> None:
    ran: list[int] = []

    async def main() -> None:
        task: gilpool.Task[Any] = gilpool.Task(ran.append, 1)
        (waiting,) = await begun_waits(task)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert isinstance(task.value, gilpool.TaskExit)
        assert isinstance(task.value, gilpool.TaskExit)

    asyncio.run(main())
    settle()
    assert ran == []


@pytest.mark.parametrize("first", ["cancelled", "closed"])
def test_only_the_last_of_several_awaits_kills_what_has_not_begun(first: str) -> None:
    async def main() -> None:
        task = gilpool.Task(pow, 2, 10)
        if first == "closed":
            waits = await begun_waits(task, task)
            closed = wait(task)
            closed.send(None)
            closed.close()
        else:
            waits = await begun_waits(task, task, task)
            waits.pop().cancel()
        await asyncio.sleep(0)
        assert not task.ready()
        waits.pop().cancel()
        await asyncio.sleep(0)
        assert not task.ready()
        waits.pop().cancel()
        await asyncio.sleep(0)
        assert isinstance(task.value, gilpool.TaskExit)

        task = gilpool.Task(pow, 2, 10)
        cancelled, other = await begun_waits(task, task)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        task.start()
        assert await other == 1024

    asyncio.run(main())
    assert not _await._awaits._count


def test_cancelling_an_await_never_kills_what_runs() -> None:
    async def main() -> None:
        go = threading.Event()
        task = gilpool.spawn(go.wait, PATIENCE)
        while "running" not in repr(task):
            await asyncio.sleep(0.001)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(task, 0.01)
        assert not task.ready()
        go.set()
        assert await task is True

    asyncio.run(main())


def test_one_task_may_be_awaited_in_several_loops_at_once() -> None:
    async def main(task: "gilpool.Task[str]", ready: threading.Semaphore) -> list[str]:
        waits = await begun_waits(*[task] * 10)
        ready.release()
        return await asyncio.gather(*waits)

    ready = threading.Semaphore(0)
    with Held() as held:
        threads = [run_on_a_thread(main(held.task, ready)) for _ in range(4)]
        for _ in threads:
            assert ready.acquire(timeout=PATIENCE)
    for thread, results in threads:
        thread.join()
        assert results == [["released"] * 10]


def test_a_loop_that_is_closed_meanwhile_is_tolerated(monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda args: unraisable.append(str(args)))
    with Held(count=3) as held:
        iterators = [task.__await__() for task in held.tasks]

        async def begin() -> None:
            for iterator in iterators:
                assert isinstance(next(iterator), asyncio.Future)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(begin())
        loop.close()
    settle()
    iterators.clear()

    assert unraisable == []


def test_a_closed_loop_is_not_kept_alive() -> None:
    async def main() -> "weakref.ref[asyncio.AbstractEventLoop]":
        assert await gilpool.spawn(int) == 0
        return weakref.ref(asyncio.get_running_loop())

    gone = asyncio.run(main())
    settle()
    gc.collect()

    assert gone() is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_is_closed_while_a_task_is_awaited_is_not_kept_alive() -> None:
    def use_a_loop() -> "weakref.ref[asyncio.AbstractEventLoop]":
        async def wait_for_it() -> None:
            await gilpool.Task(int)

        loop = asyncio.new_event_loop()
        waiting = loop.create_task(wait_for_it())
        loop.run_until_complete(asyncio.sleep(0))
        waiting._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()
        return weakref.ref(loop)

    gone = use_a_loop()
    gc.collect()
    assert gone() is None
    assert not _await._awaits._count


@pytest.mark.parametrize("how", ["get", "joinall"])
def test_cancelling_an_await_kills_nothing_that_a_thread_waits_for(how: str) -> None:
    seen: list[Any] = []

    def wait_on_a_thread() -> None:
        seen.append(task.get() if how == "get" else gilpool.joinall([task])[0].get())

    async def main() -> None:
        (waiting,) = await begun_waits(task)
        while not task._is_waited_for():
            await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not task.ready()

    task = gilpool.Task(pow, 2, 10)
    thread = threading.Thread(target=wait_on_a_thread)
    thread.start()
    asyncio.run(main())
    task.start()
    thread.join()
    assert seen == [1024]


def test_await_outside_a_loop_says_so() -> None:
    with Held() as held:
        iterator = held.task.__await__()
        with pytest.raises(RuntimeError, match="no running event loop"):
            next(iterator)
        del iterator


def test_a_task_cannot_await_itself() -> None:
    async def main() -> None:
        current = gilpool.getcurrent()
        assert current is not None
        await current

    with pytest.raises(RuntimeError, match="itself"):
        gilpool.spawn(lambda: asyncio.run(main())).get(timeout=PATIENCE)


def test_two_loops_await_a_thousand_tasks_each() -> None:
    async def main() -> int:
        return sum(await asyncio.gather(*(gilpool.spawn(abs, -1) for _ in range(1000))))

    threads = [run_on_a_thread(main()) for _ in range(2)]
    for thread, results in threads:
        thread.join()
        assert results == [1000]


def test_a_result_is_not_kept_by_the_loop() -> None:
    class Thing:
        pass

    async def main() -> None:
        gone = weakref.ref(await gilpool.spawn(Thing))
        deadline = time.monotonic() + PATIENCE
        while gone() is not None and time.monotonic() < deadline:
            await asyncio.sleep(0.001)
        assert gone() is None

    asyncio.run(main())
