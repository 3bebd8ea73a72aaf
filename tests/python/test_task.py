"""Task: results, errors, waiting, and what it keeps alive."""

import functools
import gc
import math
import subprocess
import sys
import threading
import typing
import weakref
from typing import Any

import pytest

import gilpool
from _tools import amid_allocations, fail, settle, wait_until


class Blocked:
    """A task that runs until it is let go; for tests that need one in the running state."""

    def __init__(self, pool: gilpool.Pool | None = None) -> None:
        self._go = threading.Event()
        self.running = threading.Event()
        self.task: gilpool.Task[str] = (pool or gilpool.default_pool).spawn(self._run)
        assert self.running.wait(30)

    def _run(self) -> str:
        self.running.set()
        assert self._go.wait(30)
        return "let go"

    def release(self) -> None:
        self._go.set()
        self.task.join()


def test_get_returns_what_the_call_returned() -> None:
    task = gilpool.spawn(divmod, 7, 2)

    assert task.get() == (3, 1)
    assert task.get(block=False) == (3, 1)
    assert task.value == (3, 1)
    assert task.exception is None
    assert task.ready()
    assert task.successful()


def test_keywords_reach_the_call() -> None:
    assert gilpool.spawn(int, "ff", base=16).get() == 255


def test_a_function_may_have_parameters_named_like_ours() -> None:
    def call(function: int, self: int) -> int:
        return function + self

    assert gilpool.spawn(call, function=1, self=2).get() == 3


def test_get_raises_what_the_call_raised() -> None:
    error = KeyError("lost")
    task = gilpool.spawn(fail, error)

    for _ in range(2):
        with pytest.raises(KeyError) as info:
            task.get()
        assert info.value is error
    assert task.exception is error
    assert task.value is None
    assert task.ready()
    assert not task.successful()


def test_traceback_shows_where_the_call_failed() -> None:
    task = gilpool.spawn(fail, KeyError("lost"))

    with pytest.raises(KeyError) as info:
        task.get()
    assert [entry.name for entry in info.traceback][-1] == "fail"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_system_exit_and_keyboard_interrupt_end_in_the_task(error: type[BaseException]) -> None:
    task = gilpool.spawn(fail, error())

    with pytest.raises(error):
        task.get()
    assert gilpool.spawn(int).get() == 0


def test_task_exit_is_a_success() -> None:
    error = gilpool.TaskExit("enough")
    task: gilpool.Task[Any] = gilpool.spawn(fail, error)

    assert task.get() is error
    assert task.successful()
    assert task.exception is None


def test_running_task_is_not_ready() -> None:
    blocked = Blocked()
    try:
        assert blocked.task.started
        assert not blocked.task.ready()
        assert not blocked.task.successful()
        assert blocked.task.value is None
        assert "running" in repr(blocked.task)
    finally:
        blocked.release()
    assert "done" in repr(blocked.task)


def test_get_that_runs_out_of_time_raises_wait_timeout() -> None:
    blocked = Blocked()
    try:
        for arguments in ({"timeout": 0.01}, {"timeout": 0}, {"timeout": -1}, {"block": False}):
            with pytest.raises(gilpool.WaitTimeout, match="not done yet"):
                blocked.task.get(**arguments)
        assert issubclass(gilpool.WaitTimeout, TimeoutError)
    finally:
        blocked.release()
    assert blocked.task.get(timeout=math.inf) == "let go"


def test_a_timeout_of_the_call_itself_is_no_wait_timeout() -> None:
    with pytest.raises(TimeoutError) as info:
        gilpool.spawn(fail, TimeoutError("theirs")).get()
    assert not isinstance(info.value, gilpool.WaitTimeout)


def test_join_returns_none_whatever_happened() -> None:
    blocked = Blocked()
    try:
        blocked.task.join(timeout=0.01)
        assert not blocked.task.ready()
    finally:
        blocked.release()
    failed = gilpool.spawn(fail, KeyError())
    failed.join()
    assert isinstance(failed.exception, KeyError)


@pytest.mark.parametrize(
    ("timeout", "error"), [("1", TypeError), (math.nan, ValueError), ([], TypeError)]
)
def test_bad_timeouts_name_the_argument(timeout: Any, error: type[Exception]) -> None:
    task = gilpool.spawn(int)
    with pytest.raises(error, match="timeout"):
        task.get(timeout=timeout)
    with pytest.raises(error, match="timeout"):
        task.join(timeout=timeout)
    assert task.get() == 0


def test_task_cannot_wait_for_itself() -> None:
    tasks: list[gilpool.Task[None]] = []
    ready = threading.Event()

    def wait_for_self() -> None:
        ready.wait(30)
        tasks[0].get()

    tasks.append(gilpool.spawn(wait_for_self))
    ready.set()
    with pytest.raises(RuntimeError, match="itself"):
        tasks[0].get()
    tasks.clear()


def test_many_threads_may_wait_for_one_task() -> None:
    blocked = Blocked()
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(blocked.task.get())) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    blocked.release()
    for thread in threads:
        thread.join()

    assert results == ["let go"] * 10


def test_name_and_repr_tell_what_was_spawned() -> None:
    task = gilpool.spawn(fail, KeyError())
    task.join()

    assert task.name == "fail"
    assert repr(task).startswith("<Task fail failed at 0x")
    assert isinstance(task.exception, KeyError)


def test_tasks_are_made_by_spawn_only() -> None:
    with pytest.raises(TypeError):
        gilpool.Task()  # type: ignore[call-arg]


def test_task_is_generic_at_run_time() -> None:
    assert typing.get_origin(gilpool.Task[int]) is gilpool.Task


class Thing:
    """Something a weak reference can point to."""


def test_arguments_are_dropped_when_the_task_is_done() -> None:
    thing = Thing()
    gone = weakref.ref(thing)

    def call(thing: Thing, *, again: Thing) -> None:
        assert thing is again

    function_gone = weakref.ref(call)
    task = gilpool.spawn(call, thing, again=thing)
    task.get()
    del thing, call
    # The worker drops the call right after it has told the waiter: let it finish the pool's books.
    assert gilpool.default_pool.join(timeout=30)
    gc.collect()

    assert gone() is None
    assert function_gone() is None
    assert task.ready()


def test_idle_workers_keep_neither_result_nor_error_alive() -> None:
    def make() -> Thing:
        return Thing()

    def fail_with_thing() -> None:
        thing = Thing()
        raise KeyError(thing)

    task = gilpool.spawn(make)
    gone = weakref.ref(task.get())
    failed = gilpool.spawn(fail_with_thing)
    failed.join()
    error_gone = weakref.ref(failed.exception.args[0])  # type: ignore[union-attr]
    del task, failed
    assert gilpool.default_pool.join(timeout=30)
    gc.collect()

    assert gone() is None
    assert error_gone() is None


def test_unseen_exception_is_reported_when_the_task_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    error = KeyError("nobody asked")
    gilpool.spawn(fail, error)
    assert gilpool.default_pool.join(timeout=30)
    gc.collect()

    assert [arguments.exc_value for arguments in reported] == [error]
    reported.clear()


def test_asking_before_there_is_one_is_not_seeing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    error = KeyError("nobody asks")
    task = gilpool.Task(fail, error)
    assert task.exception is None
    task.start()
    settle()
    del task
    assert [arguments.exc_value for arguments in reported] == [error]
    reported.clear()


def test_arguments_asked_for_while_the_task_ends() -> None:
    arguments = list(range(50))  # more than a tuple's memory is kept in store for
    task = gilpool.Task(print, *arguments)
    with amid_allocations(lambda: task.kill(block=False)):
        seen = task.args
    assert list(seen) in ([], arguments)  # not a tuple whose items nobody has set


def test_seen_exception_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    asked = gilpool.spawn(fail, KeyError())
    with pytest.raises(KeyError):
        asked.get()
    looked = gilpool.spawn(fail, KeyError())
    looked.join()
    assert looked.exception is not None
    del asked, looked
    gc.collect()

    assert reported == []


def test_cycle_through_a_task_is_collected() -> None:
    task = gilpool.spawn(Thing)
    task.get().task = task  # type: ignore[attr-defined]
    gone = weakref.ref(task)
    assert gilpool.default_pool.join(timeout=30)
    del task
    gc.collect()

    assert gone() is None


def test_the_memory_of_many_tasks_goes_back_when_the_workers_retire() -> None:
    """Dropped tasks leave their memory to later ones; nobody needs it once the workers are gone."""
    script = """
import ctypes, os, gilpool
page = os.sysconf("SC_PAGE_SIZE")
trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: 0)
def resident():
    trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * page
def burst():
    tasks = [gilpool.spawn(int) for _ in range(100_000)]
    gilpool.wait()
burst()  # what is made once is made now
gilpool._core._end_idle_workers()  # ends the idle workers
before = resident()
burst()
busy = resident()
gilpool._core._end_idle_workers()
after = resident()
assert busy - before > 10e6, (before, busy)
assert after - before < 0.25 * (busy - before), (before, busy, after)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_a_long_chain_of_tasks_is_dropped_without_exhausting_the_stack() -> None:
    chain = None
    for _ in range(200_000):
        chain = gilpool.Task(pow, chain)
    del chain
    assert gilpool.spawn(int).get() == 0


def test_a_long_or_broken_repr_of_the_function_is_nobodys_problem() -> None:
    class Broken:
        def __call__(self) -> None:
            raise KeyError

        def __repr__(self) -> str:
            raise ZeroDivisionError

    for function in (Broken(), functools.partial(print, "secret" * 1000)):
        task = gilpool.Task(function)
        with pytest.raises(gilpool.WaitTimeout) as info:
            task.get(timeout=0)
        assert len(str(info.value)) < 200
        assert type(function).__name__ in str(info.value)
        assert task.name == type(function).__qualname__
        assert "secret" not in repr(task)


def test_the_report_of_an_unseen_exception_names_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.thread.name))
    gilpool.spawn(fail, KeyError("nobody asked"))
    settle()
    wait_until(lambda: reported)
    assert reported == ["fail"]
