"""What several tests of tasks and pools need: tasks that stay running, or stay queued."""

import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gilpool

PATIENCE = 30.0
"""Seconds until a wait in a test counts as a hang; far more than any machine needs."""


class Held:
    """Tasks that run, off the GIL in foreign code, until they are released."""

    def __init__(self, pool: Any = None, count: int = 1) -> None:
        self._go = threading.Event()
        self._begun = threading.Semaphore(0)
        spawner = pool if pool is not None else gilpool.default_pool
        self.tasks: list[gilpool.Task[str]] = [spawner.spawn(self._run) for _ in range(count)]
        for _ in range(count):
            assert self._begun.acquire(timeout=PATIENCE)

    @property
    def task(self) -> "gilpool.Task[str]":
        return self.tasks[0]

    def _run(self) -> str:
        self._begun.release()
        assert self._go.wait(PATIENCE)
        return "released"

    def __enter__(self) -> "Held":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        self._go.set()
        for task in self.tasks:
            task.join()


@contextlib.contextmanager
def switch_interval(seconds: float) -> Iterator[None]:
    """After so long, in this block, the interpreter takes the GIL from a thread."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(seconds)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def gil_kept() -> contextlib.AbstractContextManager[None]:
    """Nobody else runs Python code in this block, unless it waits: what it spawns stays queued."""
    return switch_interval(1000)


def compute_alone(seconds: float) -> None:
    """Computes that long, not counting what others take."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@contextlib.contextmanager
def amid_allocations(function: Callable[[], object]) -> Iterator[None]:
    """In this block `function` is called, once, when the collector first runs, which up to CPython
    3.11 it does at nearly every allocation of a container."""
    due = [function]

    def collected(phase: str, _: object) -> None:
        if phase == "start" and due:
            due.pop()()

    usual = gc.get_threshold()
    kept = [[] for _ in range(1000)]  # type: ignore[var-annotated]  # for there to be a cause
    gc.callbacks.append(collected)
    gc.set_threshold(1)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.callbacks.remove(collected)
        del kept


def settle() -> None:
    """Wait until no task is left anywhere, links included."""
    assert gilpool.wait(timeout=PATIENCE)


def wait_until(condition: Callable[[], object]) -> None:
    """Wait for what nothing announces."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def fail(error: BaseException) -> None:
    raise error


def fail_with(kind: type[BaseException], *args: Any) -> None:
    raise kind(*args)
