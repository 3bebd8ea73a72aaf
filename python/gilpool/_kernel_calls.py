"""Representative calls of kernels, of any length: for the experiment, tests and benchmarks.

Each kernel's row in the native table has an example: the source of a tuple of arguments in which
`n` scales the work. `Material` provides the words that such an example may use.
"""

from __future__ import annotations

import array
import base64
import itertools
import os
import random
import tempfile
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from gilpool import _core

_SENTENCE: Final = b"the quick brown fox jumps over the lazy dog, again and again and again;\n"
_ITEM_BYTES: Final = 1000
_MOST_FILES: Final = 20_000
_LARGEST_N: Final = 1 << 40
_LARGEST_MATERIAL: Final = 1 << 26
"""Calls that need material do not get more than some 64 MB of it, however fast they are."""
_FIRST_N: Final = 1000


class Material:
    """What example calls are made of; files live in a directory that goes with this object.

    A context manager. Not thread-safe: one thread makes the arguments, any may use them.
    """

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="gilpool-")
        self._files: dict[int, str] = {}
        self._small_files: list[str] = []
        self._targets = itertools.count()
        self._text = b""

    def __enter__(self) -> Material:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._directory.cleanup()

    def _words(self) -> dict[str, Callable[..., Any]]:
        return {
            "text": self.text,
            "base64": self.base64,
            "numbers": self.numbers,
            "matrix": self.matrix,
            "items": self.items,
            "file": self.file,
            "files": self.files,
            "target": self.target,
        }

    def is_needed_by(self, kernel: _core.Kernel) -> bool:
        """Whether the example is about data, not numbers alone."""
        return any(f"{word}(" in kernel._example for word in self._words())

    def arguments(self, kernel: _core.Kernel, n: int) -> tuple[Any, ...]:
        """New arguments of the kernel's example call: outputs and targets belong to this call."""
        names = {"__builtins__": {}, **self._words(), "n": n}
        # The source is a row of our own native table.
        made: tuple[Any, ...] = eval(kernel._example, names)
        return made

    def text(self, n: int) -> bytes:
        """`n` bytes of words and lines; the same object as the last time if it was as many."""
        if len(self._text) != n:
            self._text = (_SENTENCE * (n // len(_SENTENCE) + 1))[:n]
        return self._text

    def base64(self, n: int) -> bytes:
        """About `n` characters of base64."""
        return base64.b64encode(self.text(n // 4 * 3))

    def numbers(self, n: int) -> array.array[float]:
        """`n` random float64 numbers."""
        some = array.array("d", random.Random(n).choices(range(1 << 30), k=min(n, 1 << 16)))
        return (some * (n // max(1, len(some)) + 1))[:n]

    def matrix(self, rows: int, columns: int) -> Any:
        """A matrix of float64."""
        flat = memoryview(self.numbers(rows * columns))
        return flat.cast("B").cast("d", [rows, columns])

    def items(self, n: int) -> list[bytes]:
        """About `n` bytes in blocks of 1 kB."""
        block = self.text(_ITEM_BYTES)
        return [block] * (n // _ITEM_BYTES + 1)

    def file(self, n: int) -> str:
        """A file of `n` bytes."""
        if n not in self._files:
            self._files[n] = os.path.join(self._directory.name, f"{n}-bytes")
            with open(self._files[n], "wb") as file:
                file.write(self.text(n))
        return self._files[n]

    def files(self, count: int) -> list[str]:
        """So many paths of files of 1 kB; from some number on they repeat."""
        while len(self._small_files) < min(count, _MOST_FILES):
            path = os.path.join(self._directory.name, f"small-{len(self._small_files)}")
            with open(path, "wb") as file:
                file.write(self.text(_ITEM_BYTES))
            self._small_files.append(path)
        return [self._small_files[i % len(self._small_files)] for i in range(count)]

    def target(self) -> str:
        """The path of a file that does not exist yet."""
        return os.path.join(self._directory.name, f"target-{next(self._targets)}")


def seconds_of(kernel: _core.Kernel, arguments: tuple[Any, ...]) -> float:
    """How long one call takes that holds the GIL, so that nothing else of this process runs."""
    begin = time.perf_counter()
    kernel(*arguments, release_gil=False)
    return time.perf_counter() - begin


def calibrate(kernel: _core.Kernel, material: Material, ms: float) -> int:
    """The `n` with which the kernel's example call takes about `ms` milliseconds.

    Bounded: a kernel that stays short, whatever its n, gets one that is large.
    """
    wanted = ms / 1000
    n = _FIRST_N
    limit = _LARGEST_MATERIAL if material.is_needed_by(kernel) else _LARGEST_N
    while n < limit:
        arguments = material.arguments(kernel, n)
        taken = min(seconds_of(kernel, arguments) for _ in range(2))
        if taken >= wanted / 2:
            return max(1, min(limit, round(n * wanted / taken)))
        # Towards the goal by what was seen, but not more than tenfold: short calls tell little.
        n = round(n * min(10.0, max(2.0, 0.8 * wanted / max(taken, 1e-9))))
    return limit
