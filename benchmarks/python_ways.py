"""What a Python user writes today for the work of a kernel: the peers of the kernels' benchmark.

Each takes the arguments of the kernel's example call. numpy is looked for on use. Pure functions:
any thread may call them.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Way = Callable[..., object]


def _count_matches(pattern: str, data: bytes) -> int:
    return sum(1 for _ in re.finditer(pattern.encode(), data))


def _find_all(pattern: str, data: bytes) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(pattern.encode(), data)]


def _many_digests(items: Sequence[bytes]) -> list[bytes]:
    return [hashlib.sha256(item).digest() for item in items]


def _with_stdlib() -> Iterator[tuple[str, str, Way]]:
    yield "count", "bytes.count", bytes.count
    yield "count_lines", "bytes.splitlines", lambda data: len(data.splitlines())
    yield "count_words", "bytes.split", lambda data: len(data.split())
    yield "b64encode", "base64", base64.b64encode
    yield "b64decode", "base64", base64.b64decode
    yield "find_all", "re.finditer", _find_all
    yield "count_matches", "re.finditer", _count_matches
    yield "sha256", "hashlib", lambda data: hashlib.sha256(data).digest()
    yield "hash_bytes", "hashlib", lambda data, name: hashlib.new(name, data).digest()
    yield "hash_many", "hashlib, loop", _many_digests


def _with_numpy() -> Iterator[tuple[str, str, Way]]:
    if importlib.util.find_spec("numpy") is None:
        return
    import numpy  # threads of its own come with it: not before it is used

    def sort(values: Any) -> None:
        numpy.frombuffer(values).sort()

    yield "sort", "numpy", sort
    yield (
        "argsort",
        "numpy, stable",
        lambda values: numpy.argsort(numpy.frombuffer(values), kind="stable"),
    )
    yield "matmul", "numpy, its own threads", numpy.matmul


def python_way(kernel: str) -> tuple[str, Way] | None:
    """The name and the function of the Python way, or None where there is none of its kind."""
    for name, title, way in (*_with_stdlib(), *_with_numpy()):
        if name == kernel:
            return title, way
    return None
