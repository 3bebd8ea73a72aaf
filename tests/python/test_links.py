"""Links: called once each, in order, on a worker, whatever happens to the others."""

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import gilpool
from _tools import PATIENCE, Held, amid_allocations, fail, gil_kept, settle, wait_until

KINDS = ["link", "rawlink", "link_value", "link_exception"]


def ended(how: str) -> "gilpool.Task[Any]":
    """A fresh task, and what makes it end that way once started."""
    return gilpool.Task(fail, KeyError()) if how == "raises" else gilpool.Task(int)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("how", ["returns", "raises", "killed"])
@pytest.mark.parametrize("kind", KINDS)
def test_callbacks_get_the_done_task_once_if_it_ended_their_way(
    kind: str, how: str, when: str
) -> None:
    task = ended(how)
    seen: list[tuple[Any, bool]] = []

    def link() -> None:
        getattr(task, kind)(lambda done: seen.append((done, done.ready())))

    if when == "before":
        link()
    if how == "killed":
        task.kill()
    task.start()
    task.join()
    if when == "after":
        link()
    settle()
    called = kind in ("link", "rawlink") or (kind == "link_exception") == (how == "raises")

    assert seen == ([(task, True)] if called else [])
    assert isinstance(task.exception, KeyError) == (how == "raises")


def order_of_calls(kinds: list[str]) -> list[int]:
    """In which order the callbacks of a task are called that are linked in these ways."""
    order: list[int] = []
    task = gilpool.Task(int)
    for number, kind in enumerate(kinds):
        getattr(task, kind)(lambda _, number=number: order.append(number))
    task.start()
    task.join()
    settle()
    return order


def test_callbacks_run_in_the_order_of_linking() -> None:
    assert order_of_calls(["link", "link_value"] * 50) == list(range(100))


def test_raw_links_come_first() -> None:
    assert order_of_calls(["rawlink", "link"] * 5) == [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]


def test_links_of_a_done_task_are_called_later_in_the_order_of_linking() -> None:
    order: list[int] = []
    task = gilpool.spawn(int)
    task.join()
    settle()
    with gil_kept():
        for number in range(100):
            task.link(lambda _, number=number: order.append(number))  # type: ignore[misc]
        assert order == []  # never within link itself
    settle()

    assert order == list(range(100))


def test_callbacks_run_on_a_worker() -> None:
    threads: list[int] = []
    task = gilpool.Task(int)
    task.link(lambda _: threads.append(threading.get_ident()))
    task.kill()  # ends on this thread
    task.link(lambda _: threads.append(threading.get_ident()))
    settle()

    assert len(threads) == 2
    assert threading.get_ident() not in threads


def test_a_callback_that_raises_is_reported_and_the_others_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[BaseException | None] = []
    monkeypatch.setattr(
        "sys.unraisablehook", lambda arguments: reported.append(arguments.exc_value)
    )
    seen: list[int] = []
    task = gilpool.Task(int)
    error = ZeroDivisionError()
    task.link(lambda _: seen.append(1))
    task.link(lambda _: fail(error))
    task.link(lambda _: seen.append(2))
    task.start()
    settle()

    assert (seen, reported) == ([1, 2], [error])
    reported.clear()


def test_unlink_removes_one_link_that_is_equal() -> None:
    class Callback:
        calls = 0

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Callback)

        def __hash__(self) -> int:
            return 0

        def __call__(self, _: object) -> None:
            Callback.calls += 1

    task = gilpool.Task(int)
    for _ in range(3):
        task.link(Callback())
    task.unlink(Callback())
    task.unlink(print)  # unknown: nothing happens
    task.start()
    settle()

    assert Callback.calls == 2


def test_a_callback_may_unlink_those_that_follow_and_link_more() -> None:
    seen: list[str] = []
    task = gilpool.Task(int)

    def second(_: object) -> None:
        seen.append("second")

    def first(task: "gilpool.Task[int]") -> None:
        seen.append("first")
        task.unlink(second)
        task.link(lambda _: seen.append("third"))

    task.link(first)
    task.link(second)
    task.start()
    settle()

    assert seen == ["first", "third"]


def test_links_must_be_callable() -> None:
    task = gilpool.Task(int)
    for kind in KINDS:
        with pytest.raises(TypeError, match="callback must be callable, not int"):
            getattr(task, kind)(3)


def test_a_callback_may_wait_and_spawn() -> None:
    results: list[int] = []
    pool = gilpool.Pool(1)

    def spawn_another(_: object) -> None:
        results.append(pool.spawn(pow, 2, 5).get())

    task = gilpool.Task(int)
    task.link(spawn_another)
    pool.start(task)
    settle()

    assert results == [32]


def test_many_listeners_of_one_task_are_all_told() -> None:
    """Threads, links, tasks: everyone who waits hears of the end."""
    seen: list[str] = []
    told = threading.Semaphore(0)

    def note(how: str) -> Callable[..., None]:
        def callback(*_: object) -> None:
            seen.append(how)
            told.release()

        return callback

    with Held() as held:
        for _ in range(10):
            held.task.link(note("link"))
        others = [gilpool.spawn(held.task.get) for _ in range(10)]
        thread = threading.Thread(target=lambda: note("thread")(held.task.get()))
        thread.start()
    thread.join()
    for _ in range(11):
        assert told.acquire(timeout=PATIENCE)

    assert sorted(seen) == ["link"] * 10 + ["thread"]
    assert [other.get() for other in others] == ["released"] * 10


def test_another_tasks_method_may_be_the_callback() -> None:
    """The chain of gevent's users: when this one ends, that one starts, or is killed."""
    second = gilpool.Task(int)
    third = gilpool.spawn(gilpool.sleep, 1000)
    first = gilpool.Task(int)
    first.link_value(lambda _: second.start())
    first.link(lambda _: third.kill())
    first.start()
    settle()

    assert second.get() == 0
    assert isinstance(third.get(), gilpool.TaskExit)


# --- nobody waits for a callback ----------------------------------------------------------------


def wait_by_awaiting(task: "gilpool.Task[Any]") -> None:
    async def wait() -> None:
        await task

    asyncio.run(wait())


def wait_in_a_group(task: "gilpool.Task[Any]") -> None:
    group = gilpool.Group()
    group.add(task)
    group.join()


WAITS: dict[str, Callable[["gilpool.Task[Any]"], object]] = {
    "get": lambda task: task.get(),
    "join": lambda task: task.join(),
    "kill": lambda task: task.kill(),
    "joinall": lambda task: gilpool.joinall([task]),
    "iwait": lambda task: list(gilpool.iwait([task])),
    "await": wait_by_awaiting,
    "group": wait_in_a_group,
}


@pytest.mark.parametrize("how", WAITS)
def test_a_callback_may_wait_for_whoever_waits_for_the_task(how: str) -> None:
    """Who waits for a task learns of its end before any callback is called."""
    waited = threading.Event()
    in_time: list[bool] = []
    with gil_kept():
        task = gilpool.spawn(gilpool.sleep if how == "kill" else time.sleep, 0.01)
        task.link(lambda _: in_time.append(waited.wait(PATIENCE)))
    WAITS[how](task)
    waited.set()
    settle()

    assert in_time == [True]


@pytest.mark.parametrize("whose", ["argument", "result", "function"])
def test_a_destructor_may_wait_for_whoever_waits_for_the_task(whose: str) -> None:
    waited = threading.Event()
    in_time: list[bool] = []

    class Slow:
        def __call__(self, *_: object) -> "Slow | None":
            return Slow() if whose == "result" else None

        def __del__(self) -> None:
            in_time.append(waited.wait(PATIENCE))

    pool = gilpool.Pool()
    with gil_kept():
        if whose == "argument":
            pool.spawn(int.__instancecheck__, Slow())
        elif whose == "function":
            pool.spawn(Slow())
        else:
            pool.spawn(Slow)
    pool.join()
    waited.set()
    wait_until(lambda: in_time)

    assert in_time == [True]


def test_a_destructor_of_an_item_may_wait_for_the_mapper() -> None:
    mapped = threading.Event()
    in_time: list[bool] = []

    class Slow:
        def __del__(self) -> None:
            in_time.append(mapped.wait(PATIENCE))

    def items() -> Iterator[Slow]:
        yield Slow()

    assert gilpool.Pool(1).map(bool, items()) == [True]
    mapped.set()
    wait_until(lambda: in_time)

    assert in_time == [True]


def test_who_is_freed_by_a_callback_need_not_wait_for_its_end() -> None:
    """The task that the callback kills had not begun: it ends there and then."""
    waited = threading.Event()
    in_time: list[bool] = []
    other = gilpool.spawn_later(1000, int)

    def kill_the_other(_: object) -> None:
        other.kill(block=False)
        in_time.append(waited.wait(PATIENCE))

    with gil_kept():
        gilpool.spawn(time.sleep, 0.01).link(kill_the_other)
    assert isinstance(other.get(), gilpool.TaskExit)
    waited.set()
    settle()

    assert in_time == [True]


def test_a_link_made_amid_another_is_not_lost() -> None:
    called: list[str] = []
    task = gilpool.Task(int)
    link = task.link

    def inner(_: object) -> None:
        called.append("inner")

    def outer(_: object) -> None:
        called.append("outer")

    with amid_allocations(lambda: link(inner)):
        link(outer)
        gc.collect()  # if it had no reason to before
    task.start()
    settle()

    assert sorted(called) == ["inner", "outer"]
