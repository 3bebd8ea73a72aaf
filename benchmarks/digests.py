"""Digests of many items and files: loops in Python beside one call of a kernel.

One thread at a time, as all groups.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.declare import Contestant, Group, Size, Target
from benchmarks.timed import Same, timed
from gilpool import kernels

ITEMS = {Size.QUICK: 2_000, Size.DEFAULT: 200_000, Size.FULL: 200_000}
FILES = {Size.QUICK: 200, Size.DEFAULT: 20_000, Size.FULL: 20_000}

HASHLIB = "hashlib, loop"
HELD = "kernels, GIL held (one core)"
RELEASED = "kernels, all cores"


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
