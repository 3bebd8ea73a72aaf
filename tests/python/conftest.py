"""Guards around every test: no task, no Task object and no thread is left behind."""

import gc
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import gilpool
from _ci_skips import pytest_configure as pytest_configure
from gilpool import _core

SETTLES_WITHIN = 10.0
"""Seconds in which even an overloaded machine gets a worker from its last task to its end."""


REACTOR = "gilpool-reactor"
"""The name of the one thread that may stay for a while: it serves the timers of all tests."""


def os_threads() -> int:
    """How many threads the kernel counts, idle workers sent home first and the reactor's apart."""
    _core._end_idle_workers()
    names = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            names.append((task / "comm").read_text().strip())
    assert names.count(REACTOR) <= 1
    return len(names) - names.count(REACTOR)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    gc.collect()
    gc.freeze()  # what was there before need not be looked through again after each test
    tasks_before, threads_before = gilpool.stats()["task_objects"], os_threads()
    yield
    # Links run on after the tasks they belong to.
    assert gilpool.wait(timeout=SETTLES_WITHIN), "tasks are still queued or running"
    gc.collect()
    # A worker may still be on its way back from its last task, or about to drop it; what stays is a
    # leak.
    deadline = time.monotonic() + SETTLES_WITHIN
    while gilpool.stats()["task_objects"] > tasks_before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert gilpool.stats()["task_objects"] <= tasks_before, "Task objects are kept alive"
    while os_threads() > threads_before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert os_threads() <= threads_before, "threads are left"


@pytest.fixture
def collector_calls_nothing() -> Iterator[None]:
    """A kill that hits code which the collector calls is lost there; hypothesis has some."""
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = callbacks


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """The exceptions that nobody fetched, as they are reported to threading.excepthook."""
    exceptions: list[BaseException] = []
    monkeypatch.setattr(
        threading, "excepthook", lambda arguments: exceptions.append(arguments.exc_value)
    )
    yield exceptions
    gc.collect()
    exceptions.clear()


Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_script(tmp_path: Path) -> Script:
    """Runs Python source in a process of its own, killed after `timeout` seconds (a failure)."""

    def run(source: str, *, timeout: float = 30) -> "subprocess.CompletedProcess[str]":
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(source))
        return subprocess.run(
            [sys.executable, "-X", "faulthandler", "-W", "error", str(script)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run
