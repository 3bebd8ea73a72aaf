"""Kernels beside the Python way, and what two threads of them reach beside two processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gilpool
from benchmarks.declare import Benchmark, Contestant, Group, Outcome, Size, Target
from benchmarks.digests import HELD, many_digests, many_files
from benchmarks.kernel_plot import draw_kernels
from benchmarks.python_ways import python_way
from benchmarks.timed import Same, timed
from gilpool import _core, kernels
from gilpool._kernel_calls import Material, calibrate, seconds_of

MEGABYTES = {Size.QUICK: 1, Size.DEFAULT: 64, Size.FULL: 64}
CALL_MS = {Size.QUICK: 2.0, Size.DEFAULT: 50.0, Size.FULL: 100.0}

PATTERN = r"[a-z]+ox"
THREADS = 2
FIVE = 5

PROCESSES = "two processes"
TWO_RELEASED = "two threads, released"
TWO_SPAWNED = "two tasks, spawned"
TWO_HELD = "two threads, held"
ONE = "one call"

HELPER = """\
import sys
sys.path[:] = sys.argv[4:]
from gilpool import _core
from gilpool._kernel_calls import Material
kernel, n, times = _core._kernels[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])
with Material() as material:
    for _ in sys.stdin:
        arguments = material.arguments(kernel, n)
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(times):
            kernel(*arguments)
        print("done", flush=True)
"""


def at_once(calls: Sequence[Callable[[], object]]) -> None:
    """Makes the calls, each on a thread of its own."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Helpers:
    """Processes of their own that each make a kernel's example call, so many times, when told."""

    def __init__(self, kernel: _core.Kernel, n: int, times: int) -> None:
        words = [kernel.__name__, str(n), str(times)]
        self._times = times
        self._command = [sys.executable, "-c", HELPER, *words, *sys.path]
        self._processes: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        self._processes = [
            subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(THREADS)
        ]
        self._tell("prepare", "ready")

    def run(self) -> Outcome:
        begin = time.perf_counter()
        self._tell("go", "done")
        wall = time.perf_counter() - begin
        self._tell("prepare", "ready")
        return Outcome({"wall": wall / self._times}, {})

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def _tell(self, word: str, answer: str) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
        for process in self._processes:
            assert process.stdout is not None
            if process.stdout.readline().strip() != answer:
                raise RuntimeError("a helper process has ended")


def matches(size: Size) -> Group:
    """A regular expression over a large text."""
    with Material() as material:
        text = material.text(MEGABYTES[size] << 20)
    compiled = re.compile(PATTERN.encode())

    def loop() -> int:
        return sum(1 for _ in compiled.finditer(text))

    peer = "re.finditer"
    return Group(
        title=f"matches of {PATTERN} in {MEGABYTES[size]} MB",
        contestants=(
            Contestant(peer, timed(loop)),
            Contestant(
                HELD,
                timed(
                    partial(kernels.count_matches, PATTERN, text, release_gil=False),
                    check=Same(loop),
                ),
                ours=True,
            ),
        ),
        peer=peer,
        targets=(Target(HELD, at_most=1 / 2, versus=peer),),
        note="one call uses one core; its GIL-free half is in the groups of two threads",
    )


def five_threads(size: Size) -> Group:
    """The experiment with computing in the place of sleeping."""
    ms = CALL_MS[size]

    def spawned(release: bool) -> None:
        pool = gilpool.Pool()
        for _ in range(FIVE):
            pool.spawn(kernels.busy, ms, release_gil=release)
        pool.join()

    def on_threads(release: bool) -> None:
        at_once([lambda: kernels.busy(ms, release_gil=release)] * FIVE)

    peer = "threading.Thread, held"
    return Group(
        title=f"{FIVE} x busy({ms:g})",
        contestants=(
            Contestant(peer, lambda: on_threads(False)),
            Contestant("threading.Thread, released", lambda: on_threads(True)),
            Contestant("gilpool.Pool, held", lambda: spawned(False), ours=True),
            Contestant("gilpool.Pool, released", lambda: spawned(True), ours=True),
        ),
        peer=peer,
        ideal=ms / 1000 * max(1.0, FIVE / len(os.sched_getaffinity(0))),
    )


def two_at_once(kernel: _core.Kernel, size: Size, material: Material) -> Group:
    """Two calls at once: as fast as in two processes when released, one by one when held."""
    n = calibrate(kernel, material, CALL_MS[size])
    taken = seconds_of(kernel, material.arguments(kernel, n))
    # A call with as much material as calls may have can still be short.
    repeat = max(1, round(CALL_MS[size] / 1000 / taken))
    helpers = Helpers(kernel, n, repeat)

    def one() -> tuple[Any, ...]:
        return material.arguments(kernel, n)

    def again(call: Callable[..., object]) -> Callable[..., None]:
        def run(*arguments: Any) -> None:
            for _ in range(repeat):
                call(*arguments)

        return run

    def two() -> tuple[tuple[Any, ...], ...]:
        return tuple(one() for _ in range(THREADS))

    def threads(release: bool) -> Callable[..., None]:
        def run(*calls: tuple[Any, ...]) -> None:
            one_thread = again(partial(kernel, release_gil=release))
            at_once([partial(one_thread, *arguments) for arguments in calls])

        return run

    def spawned(*calls: tuple[Any, ...]) -> None:
        for _ in range(repeat):
            gilpool.joinall([gilpool.spawn(kernel, *call) for call in calls], raise_error=True)

    held = again(partial(kernel, release_gil=False))
    way = python_way(kernel.__name__)
    notes = [f"a run is {repeat} calls in a row, the time that of one"] if repeat > 1 else []
    if kernel.__name__ == "find_all":
        notes.append("the tuples of the result are made under the GIL")
    return Group(
        title=f"two calls of {kernel.__name__}",
        contestants=(
            Contestant(PROCESSES, helpers.run, prepare=helpers.start, close=helpers.close),
            Contestant(TWO_RELEASED, timed(threads(True), two, repeat=repeat), ours=True),
            Contestant(TWO_SPAWNED, timed(spawned, two, repeat=repeat), ours=True),
            Contestant(TWO_HELD, timed(threads(False), two, repeat=repeat), ours=True),
            Contestant(ONE, timed(held, one, repeat=repeat), ours=True),
            *([Contestant(f"{ONE}: {way[0]}", timed(way[1], one))] if way else []),
        ),
        peer=PROCESSES,
        targets=(
            Target(TWO_RELEASED, at_most=1 / 0.9, versus=PROCESSES),
            Target(TWO_HELD, at_least=THREADS / 1.05, versus=ONE),
        ),
        note="; ".join(notes) or None,
    )


def groups(size: Size) -> Iterator[Group]:
    """All groups; sizes for CI are too small to be judged by."""
    for group in all_groups(size):
        yield replace(group, targets=()) if size is Size.QUICK else group


def all_groups(size: Size) -> Iterator[Group]:
    """The Python way, five threads, then each kernel that computes."""
    features = gilpool.features()
    if features["openssl"]:
        yield many_digests(size)
        with tempfile.TemporaryDirectory() as directory:
            yield from many_files(size, Path(directory))
    if features["re2"]:
        yield matches(size)
    yield five_threads(size)
    with Material() as material:
        for kernel in _core._kernels.values():
            if kernel.lane == "cpu":
                yield two_at_once(kernel, size, material)


BENCHMARK = Benchmark(
    name="kernels",
    title="Native kernels, the GIL held or released",
    groups=groups,
    rounds={Size.QUICK: 2, Size.DEFAULT: 5, Size.FULL: 9},
    draw=draw_kernels,
)
