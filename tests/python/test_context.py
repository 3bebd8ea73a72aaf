"""What a task sees of its surroundings: context variables, threads, hooks, initializers."""

import asyncio
import contextvars
import sys
import threading
from typing import Any

import pytest

import gilpool
from _tools import PATIENCE, Held, fail, settle

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def look_and_set() -> str:
    seen = variable.get()
    variable.set("set by a task")
    return seen


@pytest.fixture(autouse=True)
def _variable_is_set() -> Any:
    token = variable.set("spawner's")
    yield
    variable.reset(token)


def test_every_task_starts_in_a_fresh_context() -> None:
    pool = gilpool.Pool()

    assert {pool.spawn(look_and_set).get() for _ in range(20)} == {"unset"}
    assert set(pool.map(lambda _: look_and_set(), range(20))) == {"unset"}
    assert variable.get() == "spawner's"


def test_a_pool_can_hand_the_spawners_context_on() -> None:
    pool = gilpool.Pool(context="copy")

    assert {pool.spawn(look_and_set).get() for _ in range(20)} == {"spawner's"}
    assert set(pool.map(lambda _: look_and_set(), range(20))) == {"spawner's"}
    assert set(pool.imap(lambda _: look_and_set(), range(20))) == {"spawner's"}
    assert variable.get() == "spawner's"


def test_the_copy_is_made_when_the_task_is_spawned() -> None:
    pool = gilpool.Pool(1, context="copy")
    with Held(gilpool.Pool()):
        task = gilpool.Task(variable.get)
        pool.start(task)
        token = variable.set("later")
        assert task.get() == "spawner's"
        variable.reset(token)


def test_a_copied_context_passes_through_nested_tasks() -> None:
    pool = gilpool.Pool(context="copy")

    def outer() -> str:
        variable.set("outer's")
        return pool.spawn(variable.get).get()

    assert pool.spawn(outer).get() == "outer's"


def test_what_a_task_leaves_in_its_context_reaches_no_other_one() -> None:
    """Workers use a context again if it is as good as new: these leave theirs otherwise."""
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("left", default=0)
    tokens: list[contextvars.Token[int]] = []

    def leave(n: int) -> int:
        before = variable.get()
        if n % 3 == 0:
            variable.set(n + 1)
        elif n % 3 == 1:
            tokens.append(variable.set(n))
            variable.reset(tokens.pop())
        else:  # the token keeps the context, which is without variables again
            tokens.append(variable.set(n))
            contextvars.copy_context().run(variable.set, -n)
        return before

    assert set(gilpool.Pool(1).map(leave, range(300))) == {0}
    assert len(tokens) == 100


@pytest.mark.parametrize(("context", "error"), [("new", ValueError), (3, TypeError)])
def test_other_contexts_are_refused(context: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="context must be"):
        gilpool.Pool(context=context)


def test_workers_are_sensible_threads() -> None:
    def look() -> tuple[str, bool, bool]:
        thread = threading.current_thread()
        return thread.name, thread.daemon, thread in threading.enumerate()

    name, daemon, listed = gilpool.spawn(look).get()

    assert name.startswith("gilpool-")
    assert daemon
    assert listed


def test_thread_locals_belong_to_the_thread() -> None:
    local = threading.local()

    def use() -> int:
        local.value = threading.get_ident()
        gilpool.sleep(0)
        return int(local.value) - threading.get_ident()

    assert set(gilpool.Pool().map(lambda _: use(), range(100))) == {0}


def test_asyncio_runs_inside_tasks() -> None:
    async def work(n: int) -> int:
        await asyncio.sleep(0)
        return n

    assert gilpool.Pool().map(lambda n: asyncio.run(work(n)), range(5)) == list(range(5))


@pytest.mark.parametrize("kind", ["trace", "profile"])
def test_hooks_set_through_threading_see_tasks(kind: str) -> None:
    seen: list[str] = []

    def hook(frame: Any, event: str, _: object) -> None:
        if event == "call":
            seen.append(frame.f_code.co_name)

    def traced() -> None: ...

    install = getattr(threading, f"set{kind}")
    before = getattr(threading, f"get{kind}")()
    install(hook)
    try:
        with Held():  # another worker, which has not seen the hook yet, or takes it up now
            gilpool.spawn(traced).join()
    finally:
        install(before)
    settle()

    assert "traced" in seen
    seen.clear()
    gilpool.spawn(traced).join()
    with Held():
        gilpool.spawn(traced).join()
    assert (getattr(sys, f"get{kind}")() is None) or seen == []


# --- initializer --------------------------------------------------------------------------------


def test_the_initializer_runs_once_a_thread_before_its_first_task() -> None:
    initialized: list[int] = []

    def initialize(word: str) -> None:
        assert word == "word"
        initialized.append(threading.get_native_id())

    pool = gilpool.Pool(initializer=initialize, initargs=("word",))

    def work(_: int) -> int:
        assert threading.get_native_id() in initialized
        gilpool.sleep(0.001)
        return threading.get_native_id()

    threads = set(pool.map(work, range(50)))

    assert sorted(initialized) == sorted(set(initialized))
    assert threads <= set(initialized)


def test_pools_have_initializers_of_their_own() -> None:
    calls: list[str] = []
    pools = [gilpool.Pool(initializer=calls.append, initargs=(name,)) for name in "ab"]
    for pool in pools * 3:
        pool.spawn(int).join()

    assert set(calls) == {"a", "b"}


def test_a_pool_whose_initializer_raises_is_broken() -> None:
    error = ZeroDivisionError("cannot")
    pool = gilpool.Pool(initializer=fail, initargs=(error,))
    first = pool.spawn(int)
    with pytest.raises(ZeroDivisionError, match="cannot"):
        first.get(timeout=PATIENCE)
    with pytest.raises(RuntimeError, match="initializer"):
        pool.spawn(int)
    assert pool.join(PATIENCE)
    assert gilpool.spawn(int).get() == 0


@pytest.mark.parametrize(
    ("arguments", "error"), [({"initializer": 3}, TypeError), ({"initargs": 3}, TypeError)]
)
def test_bad_initializers_are_refused(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        gilpool.Pool(**arguments)
