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
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gilpool
from benchmarks.declare import Benchmark, Contestant, Group, Outcome, Size, Target
from benchmarks.kernel_plot import draw_kernels
from benchmarks.python_ways import python_way
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
TWO_SPAWNED = "two tasks, spawned"
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


def timed(
    call: Callable[..., object],
    prepare: Callable[[], tuple[Any, ...]] = tuple,
    check: Callable[[Any], None] | None = None,
) -> Callable[[], Outcome]:
    """The call as work: making its arguments and looking at its result are not in its time."""

    def work() -> Outcome:
        arguments = prepare()
        begin = time.perf_counter()
        found = call(*arguments)
        wall = time.perf_counter() - begin
        if check is not None:
            check(found)
        return Outcome({"wall": wall}, {})

    return work


class Same:
    """A check that each result is the one that the Python way has."""

    def __init__(self, expected: Callable[[], object]) -> None:
        self._expected = expected
        self._known: list[object] = []

    def __call__(self, found: object) -> None:
        if not self._known:
            self._known.append(self._expected())
        if found != self._known[0]:
            raise AssertionError("the kernel's result is not that of the Python way")


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


def digests(
    title: str,
    loops: dict[str, Callable[[], list[bytes]]],
    ours: Callable[[bool], list[bytes]],
    target: Target,
    prepare: Callable[[], tuple[Any, ...]] = tuple,
    note: str | None = None,
) -> Group:
    """Digests of many things: loops in Python, and one call that holds or releases the GIL."""
    same = Same(loops[HASHLIB])
    return Group(
        title=title,
        contestants=(
            *(Contestant(name, timed(loop, prepare)) for name, loop in loops.items()),
            Contestant(HELD, timed(lambda: ours(False), prepare, same), ours=True),
            Contestant(RELEASED, timed(lambda: ours(True), prepare, same), ours=True),
        ),
        peer=HASHLIB,
        targets=(target,),
        note=note,
    )


def many_digests(size: Size) -> Group:
    """Small digests: what a loop in Python does under the GIL."""
    items = [os.urandom(1000) for _ in range(ITEMS[size])]
    return digests(
        f"SHA-256 of {len(items):,} x 1 kB",
        {HASHLIB: lambda: [hashlib.sha256(item).digest() for item in items]},
        lambda release: kernels.hash_many(items, release_gil=release),
        Target(HELD, at_most=1 / 2.5, versus=HASHLIB),
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


def evict(paths: Sequence[str]) -> None:
    """Drops the pages of the files, which have been written to the disk, from the cache."""
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def comes_from_disk(path: str) -> bool:
    """Whether an evicted file is read from the disk: not if memory is its disk."""

    def bytes_read() -> int:
        fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return int(fields["read_bytes"])

    try:
        evict([path])
        before = bytes_read()
        Path(path).read_bytes()
        return bytes_read() > before
    except (AttributeError, OSError):
        return False


def many_files(size: Size, directory: Path) -> Iterator[Group]:
    """Small files, read and hashed: warm, and cold where the system lets us have them cold."""
    paths = [str(directory / str(i)) for i in range(FILES[size])]
    for path in paths:
        Path(path).write_bytes(os.urandom(1000))
    os.sync()

    def loop() -> list[bytes]:
        found = []
        for path in paths:
            with open(path, "rb") as file:
                found.append(hashlib.sha256(file.read()).digest())
        return found

    def by_file_digest() -> list[bytes]:
        found = []
        for path in paths:
            with open(path, "rb") as file:
                found.append(hashlib.file_digest(file, "sha256").digest())
        return found

    def ours(release: bool) -> list[bytes]:
        return kernels.hash_files(paths, release_gil=release)

    def make_cold() -> tuple[Any, ...]:
        evict(paths)
        return ()

    loops = {HASHLIB: loop}
    if sys.version_info >= (3, 11):
        loops["hashlib.file_digest, loop"] = by_file_digest
    title = f"SHA-256 of {len(paths):,} files of 1 kB"
    target = Target(RELEASED, at_most=1 / 3, versus=HASHLIB)
    yield digests(f"{title}, warm", loops, ours, target)
    if comes_from_disk(paths[0]):
        yield digests(
            f"{title}, cold",
            loops,
            ours,
            Target(RELEASED, at_most=1, versus=HASHLIB),
            make_cold,
            note="cold: before each run posix_fadvise(DONTNEED) drops the files' pages; names and "
            "inodes stay cached",
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
    helpers = Helpers(kernel, n)

    def one() -> tuple[Any, ...]:
        return material.arguments(kernel, n)

    def two() -> tuple[tuple[Any, ...], ...]:
        return tuple(one() for _ in range(THREADS))

    def threads(release: bool) -> Callable[..., None]:
        def run(*calls: tuple[Any, ...]) -> None:
            at_once([partial(kernel, *arguments, release_gil=release) for arguments in calls])

        return run

    def spawned(*calls: tuple[Any, ...]) -> None:
        gilpool.joinall([gilpool.spawn(kernel, *call) for call in calls], raise_error=True)

    way = python_way(kernel.__name__)
    note = (
        "the tuples of the result are made under the GIL" if kernel.__name__ == "find_all" else None
    )
    return Group(
        title=f"two calls of {kernel.__name__}",
        contestants=(
            Contestant(PROCESSES, helpers.run, prepare=helpers.start, close=helpers.close),
            Contestant(TWO_RELEASED, timed(threads(True), two), ours=True),
            Contestant(TWO_SPAWNED, timed(spawned, two), ours=True),
            Contestant(TWO_HELD, timed(threads(False), two), ours=True),
            Contestant(ONE, timed(partial(kernel, release_gil=False), one), ours=True),
            *([Contestant(f"{ONE}: {way[0]}", timed(way[1], one))] if way is not None else []),
        ),
        peer=PROCESSES,
        targets=(
            Target(TWO_RELEASED, at_most=1 / 0.9, versus=PROCESSES),
            Target(TWO_HELD, at_least=THREADS / 1.05, versus=ONE),
        ),
        note=note,
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
