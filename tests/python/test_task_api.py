"""Task made by hand: start, arguments, names, subclasses, and what it keeps alive."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

import gilpool
from _tools import PATIENCE, Held, fail, gil_kept, settle

T = TypeVar("T")


def test_a_task_made_by_hand_waits_for_start() -> None:
    ran: list[int] = []
    task = gilpool.Task(ran.append, 1)

    assert (task.started, task.ready(), task.dead, task.successful()) == (False,) * 4
    assert "not started" in repr(task)
    settle()
    assert ran == []
    task.start()
    assert task.started
    task.join()
    assert (ran, task.ready(), task.dead, task.successful()) == ([1], True, True, True)


def test_start_works_once() -> None:
    ran: list[int] = []
    task = gilpool.Task(ran.append, 1)
    for _ in range(3):
        task.start()
    task.join()
    task.start()
    settle()

    assert ran == [1]


def test_start_after_kill_does_nothing() -> None:
    ran: list[int] = []
    task = gilpool.Task(ran.append, 1)
    task.kill()
    task.start()
    settle()

    assert ran == []


def test_waiting_for_a_task_that_is_not_started_runs_out_of_time() -> None:
    task = gilpool.Task(int)

    with pytest.raises(gilpool.WaitTimeout):
        task.get(timeout=0.01)
    task.join(timeout=0.01)
    assert not task.ready()


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((1, 2, 3, 4), {}),
        ((1, 2, 3, 4, 5), {}),
        (tuple(range(100)), {"a": 1}),
        ((), {f"key{n}": n for n in range(20)}),
        ((1, 2), {"function": 3, "self": 4, "args": 5, "run": 6}),
    ],
)
def test_arguments_reach_the_call_and_are_seen_until_then(
    args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    def call(*args: int, **kwargs: int) -> tuple[tuple[int, ...], dict[str, int]]:
        return args, kwargs

    task = gilpool.Task(call, *args, **kwargs)

    assert task.args == args
    assert task.kwargs == kwargs
    task.start()
    assert task.get() == (args, kwargs)
    settle()  # they are dropped right after the waiter has been told
    assert (task.args, task.kwargs) == ((), {})


def test_what_is_no_function_is_refused_at_once() -> None:
    for bad in (3, None, "text"):
        with pytest.raises(TypeError, match=f"callable, not {type(bad).__name__}"):
            gilpool.Task(bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="callable"):
            gilpool.spawn(bad)  # type: ignore[arg-type]


def test_a_full_pool_refuses_what_is_no_function_without_waiting() -> None:
    pool = gilpool.Pool(1)
    with Held(pool), pytest.raises(TypeError, match="callable"):
        pool.spawn(3)  # type: ignore[arg-type]


def test_name_is_the_functions_unless_set() -> None:
    class Class:
        def method(self) -> None: ...

    assert gilpool.Task(Class().method).name.endswith("Class.method")
    assert gilpool.Task(len, "").name == "len"
    task = gilpool.Task(fail, KeyError())
    task.name = "mine"
    assert "mine" in repr(task)
    with pytest.raises(TypeError, match="name must be a str, not int"):
        task.name = 3  # type: ignore[assignment]
    task.kill()
    assert task.name == "mine"


def test_repr_tells_the_state() -> None:
    with gil_kept():
        task = gilpool.spawn(len, "")
        assert "queued" in repr(task)
    task.join()
    assert repr(task).startswith("<Task len done at 0x")
    with Held() as held:
        assert "running" in repr(held.task)
    failed = gilpool.spawn(fail, KeyError())
    failed.join()
    assert "failed" in repr(failed)
    assert failed.exception is not None


class Numbered(gilpool.Task[T]):
    """A subclass with a constructor and state of its own."""

    def __init__(self, function: Any, *args: Any) -> None:
        super().__init__()
        self.number = len(args)
        self.original = function


def test_subclasses_have_attributes_and_run_like_tasks() -> None:
    task: Numbered[int] = Numbered(max, 1, 2, 3)
    other: Numbered[int] = Numbered(max, 1, 2)
    pool = gilpool.Pool(1)
    pool.start(task)
    other.start()

    assert (task.get(), task.number, task.original) == (3, 3, max)
    assert (other.get(), other.number) == (2, 2)
    assert repr(task).startswith("<Numbered") or "Numbered max done" in repr(task)


def test_exc_info_is_there_once_the_call_has_raised() -> None:
    error = KeyError("lost")
    task = gilpool.Task(fail, error)
    assert task.exc_info == ()
    task.start()
    task.join()
    kind, value, traceback = task.exc_info  # type: ignore[misc]

    assert (kind, value) == (KeyError, error)
    assert traceback is not None
    assert gilpool.spawn(int).exc_info == ()


def test_results_are_gettable_from_a_thread_that_is_nobodys() -> None:
    results: list[int] = []
    task = gilpool.spawn(pow, 2, 10)
    thread = threading.Thread(target=lambda: results.append(task.get(timeout=PATIENCE)))
    thread.start()
    thread.join()

    assert results == [1024]


class Thing:
    """Something that a weak reference can point to."""


@pytest.mark.parametrize("how", ["returns", "raises", "killed running", "killed queued"])
def test_nothing_of_a_call_outlives_it_on_idle_workers(how: str) -> None:
    """Arguments, locals, result, exception and traceback go with the last name of the task."""
    gone: list[weakref.ref[Any]] = []
    begun = threading.Event()

    def call(thing: Thing, *, other: Thing) -> Thing:
        assert other is not thing
        local = Thing()
        gone.append(weakref.ref(local))
        begun.set()
        if how == "raises":
            raise KeyError(thing, local)
        if how == "killed running":
            gilpool.sleep(1000)
        return local

    def run(call: Callable[..., Thing]) -> None:
        thing, other = Thing(), Thing()
        gone.extend(weakref.ref(one) for one in (thing, other))
        with gil_kept():
            task = gilpool.spawn(call, thing, other=other)
            gone.append(weakref.ref(task))
            if how == "killed queued":
                task.kill(block=False)
        if how == "killed running":
            assert begun.wait(PATIENCE)
            task.kill()
        task.join()
        assert isinstance(task.exception, KeyError) == (how == "raises")

    gone.append(weakref.ref(call))
    run(call)
    del call
    settle()
    gc.collect()

    assert [reference() for reference in gone] == [None] * len(gone)


def test_a_started_task_is_kept_alive_by_its_pool_alone() -> None:
    done = threading.Event()
    gilpool.Task(done.set).start()

    assert done.wait(PATIENCE)


def test_dropping_a_task_that_was_never_started_drops_its_arguments() -> None:
    thing = Thing()
    gone = weakref.ref(thing)
    task = gilpool.Task(id, thing)
    del thing
    assert gone() is not None
    del task

    assert gone() is None


def test_a_cycle_through_a_task_that_was_never_started_is_collected() -> None:
    thing = Thing()
    thing.task = gilpool.Task(id, thing)  # type: ignore[attr-defined]
    gone = weakref.ref(thing)
    del thing
    gc.collect()

    assert gone() is None


def test_getcurrent_is_the_task_of_the_calling_thread() -> None:
    assert gilpool.getcurrent() is None
    task: gilpool.Task[Any] = gilpool.spawn(gilpool.getcurrent)
    assert task.get() is task
    task = gilpool.Task(lambda: gilpool.spawn(gilpool.getcurrent).get() is gilpool.getcurrent())
    task.start()
    assert task.get() is False


def test_features_are_booleans() -> None:
    features = gilpool.features()

    assert features
    assert all(type(there) is bool for there in features.values())
    features.clear()
    assert gilpool.features()
