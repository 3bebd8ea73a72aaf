"""Kernels beside the Python way, and what two threads of them reach beside two processes."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gilpool
from benchmarks.declare import Benchmark, Contestant, Group, Outcome, Size, Target
from gilpool import _core, kernels
from gilpool._kernel_calls import Material, calibrate

ITEMS = {Size.QUICK: 2_000, Size.DEFAULT: 200_000, Size.FULL: 200_000}
FILES = {Size.QUICK: 200, Size.DEFAULT: 20_000, Size.FULL: 20_000}
MEGABYTES = {Size.QUICK: 1, Size.DEFAULT: 64, Size.FULL: 64}
CALL_MS = {Size.QUICK: 2.0, Size.DEFAULT: 50.0, Size.FULL: 100.0}

PATTERN = r"[a-z]+ox"
THREADS = 2
FIVE = 5

HASHLIB = "hashlib, loop"
HELD = "kernels, GIL held (one core)"
RELEASED = "kernels, all cores"
PROCESSES = "two processes"
TWO_RELEASED = "two threads, released"
TWO_HELD = "two threads, held"
ONE = "one call"

HELPER = """\
import sys
sys.path[:] = sys.argv[3:]
from gilpool import _core
from gilpool._kernel_calls import Material
kernel, n = _core._kernels[sys.argv[1]], int(sys.argv[2])
with Material() as material:
    for _ in sys.stdin:
        arguments = material.arguments(kernel, n)
        print("ready", flush=True)
        sys.stdin.readline()
        kernel(*arguments)
        print("done", flush=True)
"""


def done(function: Callable[[], object]) -> Callable[[], None]:
    """The function as work."""

    def work() -> None:
        function()

    return work


def same(function: Callable[[], object], expected: Callable[[], object]) -> Callable[[], None]:
    """The function as work: its result must be the expected one, or the round fails."""
    wanted: list[object] = []

    def work() -> None:
        found = function()
        if not wanted:
            wanted.append(expected())
        if found != wanted[0]:
            raise AssertionError("the kernel's result is not that of the Python way")

    return work


def at_once(calls: Sequence[Callable[[], object]]) -> None:
    """Makes the calls, each on a thread of its own."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Helpers:
    """Processes of their own that each make a kernel's example call when told."""

    def __init__(self, kernel: _core.Kernel, n: int) -> None:
        self._command = [sys.executable, "-c", HELPER, kernel.__name__, str(n), *sys.path]
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
        return Outcome({"wall": wall}, {})

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


def many_digests(size: Size) -> Group:
    """Small digests: what a loop in Python does under the GIL."""
    items = [os.urandom(1000) for _ in range(ITEMS[size])]

    def loop() -> list[bytes]:
        return [hashlib.sha256(item).digest() for item in items]

    return Group(
        title=f"SHA-256 of {len(items):,} x 1 kB",
        contestants=(
            Contestant(HASHLIB, done(loop)),
            Contestant(
                HELD, same(lambda: kernels.hash_many(items, release_gil=False), loop), ours=True
            ),
            Contestant(RELEASED, same(lambda: kernels.hash_many(items), loop), ours=True),
        ),
        peer=HASHLIB,
        targets=() if size is Size.QUICK else (Target(HELD, at_most=1 / 2.5, versus=HASHLIB),),
    )


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
            Contestant(peer, done(loop)),
            Contestant(
                HELD,
                same(lambda: kernels.count_matches(PATTERN, text, release_gil=False), loop),
                ours=True,
            ),
        ),
        peer=peer,
        targets=() if size is Size.QUICK else (Target(HELD, at_most=1 / 2, versus=peer),),
        note="one call uses one core; its GIL-free half is in the groups of two threads",
    )


def many_files(size: Size, directory: Path) -> Group:
    """Small files, warm: read and hashed."""
    paths = [str(directory / str(i)) for i in range(FILES[size])]
    for path in paths:
        Path(path).write_bytes(os.urandom(1000))

    def loop() -> list[bytes]:
        digests = []
        for path in paths:
            with open(path, "rb") as file:
                digests.append(hashlib.sha256(file.read()).digest())
        return digests

    return Group(
        title=f"SHA-256 of {len(paths):,} files of 1 kB, warm",
        contestants=(
            Contestant(HASHLIB, done(loop)),
            Contestant(
                HELD, same(lambda: kernels.hash_files(paths, release_gil=False), loop), ours=True
            ),
            Contestant(RELEASED, same(lambda: kernels.hash_files(paths), loop), ours=True),
        ),
        peer=HASHLIB,
        targets=() if size is Size.QUICK else (Target(RELEASED, at_most=1 / 3, versus=HASHLIB),),
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
    calls = [material.arguments(kernel, n) for _ in range(THREADS)]
    helpers = Helpers(kernel, n)

    def run(arguments: tuple[Any, ...], release: bool) -> Callable[[], object]:
        return lambda: kernel(*arguments, release_gil=release)

    def both(release: bool) -> None:
        at_once([run(arguments, release) for arguments in calls])

    return Group(
        title=f"two calls of {kernel.__name__}",
        contestants=(
            Contestant(PROCESSES, helpers.run, prepare=helpers.start, close=helpers.close),
            Contestant(TWO_RELEASED, lambda: both(True), ours=True),
            Contestant(TWO_HELD, lambda: both(False), ours=True),
            Contestant(ONE, done(run(calls[0], False))),
        ),
        peer=PROCESSES,
        targets=()
        if size is Size.QUICK
        else (Target(TWO_RELEASED, at_most=1 / 0.9, versus=PROCESSES),),
    )


def groups(size: Size) -> Iterator[Group]:
    """The Python way, five threads, then each kernel that computes."""
    features = gilpool.features()
    if features["openssl"]:
        yield many_digests(size)
        with tempfile.TemporaryDirectory() as directory:
            yield many_files(size, Path(directory))
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
)
