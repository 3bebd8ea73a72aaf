"""sleep and wait_fd: spawned they need no thread, and end for whom they should."""

import errno
import os
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import gilpool
from conftest import Script
from gilpool import kernels

PATIENCE = 20.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_spawned_sleeps_need_no_thread() -> None:
    pool = gilpool.Pool()
    before = gilpool.stats()["threads"]
    begin = time.perf_counter()
    tasks = [pool.spawn(gilpool.sleep, 0.5) for _ in range(20_000)]
    assert gilpool.stats()["threads"] <= before + 1
    assert pool.join(PATIENCE)
    assert time.perf_counter() - begin >= 0.5
    assert all(task.value is None and task.successful() for task in tasks)


def test_a_sleep_waits_in_line_for_its_slot() -> None:
    pool = gilpool.Pool(1)
    begin = time.perf_counter()
    pool.map(gilpool.sleep, [0.1, 0.1, 0.1])
    assert time.perf_counter() - begin >= 0.3


def test_sleeps_can_be_killed_and_linked() -> None:
    pool = gilpool.Pool()
    tasks = [pool.spawn(gilpool.sleep, 1000) for _ in range(1000)]
    told = threading.Event()
    tasks[0].link(lambda _: told.set())
    pool.kill()
    assert len(pool) == 0
    assert all(isinstance(task.value, gilpool.TaskExit) for task in tasks)
    assert told.wait(PATIENCE)


@pytest.mark.parametrize("seconds", [-1, float("nan"), "x", None])
def test_bad_lengths_fail_the_task(seconds: object) -> None:
    with pytest.raises((TypeError, ValueError)) as direct:
        gilpool.sleep(seconds)  # type: ignore[arg-type]
    with pytest.raises(type(direct.value)):
        gilpool.spawn(gilpool.sleep, seconds).get()  # type: ignore[arg-type]


def test_ready_descriptors(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    waiting = gilpool.spawn(kernels.wait_fd, reader, select.POLLIN)
    same = gilpool.spawn(kernels.wait_fd, reader, select.POLLIN)  # on a thread: one may ask epoll
    assert not waiting.ready()
    os.write(writer, b"x")
    assert waiting.get() == same.get() == select.POLLIN
    assert kernels.wait_fd(reader, select.POLLIN) == select.POLLIN
    both = select.POLLIN | select.POLLOUT
    assert kernels.wait_fd(writer, both) == select.POLLOUT
    assert gilpool.spawn(kernels.wait_fd, writer, both).get() == select.POLLOUT


def test_timeouts(pipe: tuple[int, int]) -> None:
    reader, _ = pipe
    for wait in (
        lambda: kernels.wait_fd(reader, select.POLLIN, 0.1),
        gilpool.Pool().spawn(kernels.wait_fd, reader, select.POLLIN, timeout=0.1).get,
    ):
        assert wait() == 0
    begin = time.perf_counter()
    assert kernels.wait_fd(reader, select.POLLIN, timeout=0.1) == 0
    assert time.perf_counter() - begin >= 0.1
    assert kernels.wait_fd(reader, select.POLLIN, 0) == 0


def test_a_closed_descriptor_and_a_file(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    for wait in (
        lambda: kernels.wait_fd(reader, select.POLLIN),
        gilpool.spawn(kernels.wait_fd, reader, select.POLLIN).get,
    ):
        with pytest.raises(OSError, match="descriptor") as caught:
            wait()
        assert caught.value.errno == errno.EBADF
    with (tmp_path / "file").open("w") as file:
        assert kernels.wait_fd(file, select.POLLOUT) == select.POLLOUT
        assert gilpool.spawn(kernels.wait_fd, file, select.POLLOUT).get() == select.POLLOUT


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("x", select.POLLIN), TypeError),
        ((-1, select.POLLIN), ValueError),
        ((0, 0), ValueError),
        ((0, 1 << 20), ValueError),
        ((0, "r"), TypeError),
        ((0, select.POLLIN, float("nan")), ValueError),
        ((0,), TypeError),
    ],
)
def test_bad_waits(arguments: tuple[object, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        kernels.wait_fd(*arguments)  # type: ignore[arg-type]
    with pytest.raises(error):
        gilpool.spawn(kernels.wait_fd, *arguments).get()  # type: ignore[arg-type]


def test_a_killed_wait_frees_its_descriptor(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    task = gilpool.spawn(kernels.wait_fd, reader, select.POLLIN)
    task.kill()
    assert isinstance(task.value, gilpool.TaskExit)
    os.write(writer, b"x")
    assert gilpool.spawn(kernels.wait_fd, reader, select.POLLIN).get() == select.POLLIN


def test_a_task_in_wait_fd_can_be_killed(pipe: tuple[int, int]) -> None:
    entered = threading.Event()

    def wait() -> None:
        entered.set()
        kernels.wait_fd(pipe[0], select.POLLIN)

    task = gilpool.spawn(wait)
    assert entered.wait(PATIENCE)
    task.kill(timeout=PATIENCE)
    assert task.ready()


MANY = """
    import gilpool, os, resource, select
    from gilpool import kernels

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(10_000, hard - 200)
    descriptors = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(count)]
    pool = gilpool.Pool()
    tasks = [pool.spawn(kernels.wait_fd, fd, select.POLLIN, 300 - i / count)
             for i, fd in enumerate(descriptors)]
    assert gilpool.stats()["threads"] <= 1
    for fd in descriptors[::2]:
        os.eventfd_write(fd, 1)
    assert [task.get() for task in tasks[::2]] == [select.POLLIN] * len(tasks[::2])
    assert not any(task.ready() for task in tasks[1::2])
    pool.kill()
    assert len(pool) == 0
"""


def test_ten_thousand_descriptors_on_one_thread(run_script: Script) -> None:
    outcome = run_script(MANY, timeout=60)
    assert outcome.returncode == 0, outcome.stderr


FORKED = """
    import warnings
    warnings.simplefilter("ignore")  # 3.12 and later: about forking with threads
    import gilpool, os
    from gilpool import kernels

    asleep = gilpool.spawn(gilpool.sleep, 0.3)
    computing = [gilpool.spawn(kernels.busy, 100) for _ in range(8)]
    child = os.fork()
    if child == 0:
        for task in (asleep, *computing):
            try:
                task.get(timeout=20)
            except RuntimeError as error:
                assert "fork" in str(error)
        assert gilpool.spawn(kernels.count_primes, 100).get(timeout=20) == 25
        assert gilpool.spawn(gilpool.sleep, 0.01).get(timeout=20) is None
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert asleep.get(timeout=20) is None
    assert [task.get(timeout=20) for task in computing] == [None] * 8
"""


def test_a_child_begins_anew(run_script: Script) -> None:
    outcome = run_script(FORKED)
    assert outcome.returncode == 0, outcome.stderr


EXIT = """
    import atexit, gilpool, time
    from gilpool import kernels

    begin = time.monotonic()
    tasks = [gilpool.spawn(kernels.busy, 100), gilpool.spawn(gilpool.sleep, 0.2)]
    daemon = gilpool.Pool(daemon=True)
    stuck = [daemon.spawn(kernels.busy, 60_000), daemon.spawn(gilpool.sleep, 60)]

    @atexit.register
    def look():
        assert [task.value for task in tasks] == [None, None]
        assert all(task.successful() for task in tasks)
        assert all(task.ready() for task in stuck)
        assert time.monotonic() - begin < 20
        print("seen")
"""


def test_exit_drains_pools_and_stops_daemons(run_script: Script) -> None:
    outcome = run_script(EXIT, timeout=40)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == "seen\n"
