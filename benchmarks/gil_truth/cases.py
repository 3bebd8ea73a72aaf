"""Calls of which it is known whether they let go of the GIL.

Known from their source, not from a measurement. Where a call releases for a part of its time only
(a statement in sqlite, a log line), the truth is that it releases: a verdict is about whether, not
about how much.
"""

from __future__ import annotations

import copy
import ctypes
import functools
import hashlib
import json
import lzma
import os
import pickle
import random
import re
import socket
import sqlite3
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import gilpool
from benchmarks.busy import loops_for, loops_per_ms, spin
from gilpool import kernels

RELEASES = "releases"
HOLDS = "holds"


@dataclass(frozen=True)
class Case:
    """A call, the truth about it, and how often it takes part for each time that others do."""

    name: str
    truth: str
    call: Callable[[], object]
    weight: float = 1.0


def cases(stack: ExitStack) -> list[Case]:
    """All of them; longer ones have smaller weights, so that a run ends.

    `stack` closes what they use.
    """
    return [*_pairs(), *_released(stack), *_held()]


def _pairs() -> Iterator[Case]:
    """The same C code, once holding and once releasing."""
    holding, releasing = ctypes.PyDLL(None).usleep, ctypes.CDLL(None).usleep
    for us, weight in (
        (1, 1.0),
        (10, 1.0),
        (100, 1.0),
        (1_000, 1.0),
        (10_000, 0.3),
        (100_000, 0.06),
        (1_000_000, 0.02),
    ):
        yield Case(f"PyDLL usleep {us} us", HOLDS, _calling(holding, us), weight)
        yield Case(f"CDLL usleep {us} us", RELEASES, _calling(releasing, us), weight)
    for ms, weight in ((0.01, 1.0), (1, 1.0), (20, 0.2)):
        yield Case(f"sleep_gil {ms} ms", HOLDS, _calling(gilpool.sleep_gil, ms), weight)
        yield Case(f"sleep_nogil {ms} ms", RELEASES, _calling(gilpool.sleep_nogil, ms), weight)
    data = random.Random(1).randbytes(1 << 20)
    for name in ("sha256", "md5", "blake2b"):
        function = getattr(hashlib, name)
        yield Case(f"{name} of 1,024 bytes", HOLDS, _calling(function, data[:1024]))
        yield Case(f"{name} of 4,096 bytes", RELEASES, _calling(function, data[:4096]))
    yield Case("sha256 of 2,047 bytes", HOLDS, _calling(hashlib.sha256, data[:2047]))
    yield Case("sha256 of 1 MB", RELEASES, _calling(hashlib.sha256, data))
    yield Case("crc32 of 1,024 bytes", HOLDS, _calling(zlib.crc32, data[:1024]))
    yield Case("crc32 of 100 kB", RELEASES, _calling(zlib.crc32, data[:100_000]))
    kernel_calls: list[tuple[Callable[..., object], str, object]] = [
        (kernels.crc32c, "of 1 MB", data),
        (kernels.b64encode, "of 100 kB", data[:100_000]),
        (kernels.count_words, "of 1 MB", data),
        (kernels.count_primes, "below 100,000", 100_000),
        (kernels.busy, "2 ms", 2),
    ]
    for kernel, what, argument in kernel_calls:
        for truth in (HOLDS, RELEASES):
            call = functools.partial(kernel, argument, release_gil=truth == RELEASES)
            yield Case(f"kernel {kernel.__name__} {what}, {truth}", truth, call)
    loops = loops_for(1.0, loops_per_ms())
    yield Case("1 ms of Python", HOLDS, _calling(spin, loops))
    yield Case("1 ms of Python and sleep(0)", RELEASES, _calling(_spin_and_sleep, loops))
    # As brief as a release can be, in a call that is long beside it.
    yield Case("1 ms of Python and os.stat", RELEASES, _calling(_spin_and_call, loops, os.stat))
    yield Case("1 ms of Python and os.fspath", HOLDS, _calling(_spin_and_call, loops, os.fspath))


def _released(stack: ExitStack) -> Iterator[Case]:
    data = random.Random(2).randbytes(100_000)
    database = stack.enter_context(closing(sqlite3.connect(":memory:")))
    ours, theirs = map(stack.enter_context, socket.socketpair())

    def echo() -> None:
        ours.send(b"x")
        theirs.recv(1)

    yield Case("time.sleep(0)", RELEASES, _calling(time.sleep, 0))
    yield Case("time.sleep 0.1 ms", RELEASES, _calling(time.sleep, 1e-4))
    yield Case("zlib.compress 100 kB", RELEASES, _calling(zlib.compress, data, 1), 0.5)
    yield Case("lzma.compress 1 kB", RELEASES, _calling(lzma.compress, data[:1000]), 0.5)
    yield Case("sqlite3 select 1", RELEASES, _calling(database.execute, "select 1"))
    yield Case("os.stat", RELEASES, _calling(os.stat, tempfile.gettempdir()))
    yield Case("send and recv", RELEASES, echo)
    yield Case("Event.wait 0.2 ms", RELEASES, _calling(threading.Event().wait, 2e-4))
    yield Case("a thread started and joined", RELEASES, _start_and_join, 0.5)


def _held() -> Iterator[Case]:
    numbers = list(range(1000))
    shuffled = random.Random(3).sample(range(20_000), 20_000)
    nested = {str(i): [i, str(i), {"a": i}] for i in range(300)}
    text = json.dumps(nested)
    words = re.compile(r"(\w+)\s*=\s*(\d+)")
    loops = loops_for(20.0, loops_per_ms())
    yield Case("next to nothing", HOLDS, _nothing)
    yield Case("os.getpid", HOLDS, os.getpid)
    yield Case("sum of 1,000", HOLDS, _calling(sum, numbers))
    yield Case("sorted 20,000", HOLDS, _calling(sorted, shuffled))
    yield Case("json.dumps", HOLDS, _calling(json.dumps, nested))
    yield Case("json.loads", HOLDS, _calling(json.loads, text))
    yield Case("re.findall", HOLDS, _calling(words.findall, "key = 12, other=7; " * 500))
    yield Case("pickle.dumps", HOLDS, _calling(pickle.dumps, nested))
    yield Case("copy.deepcopy", HOLDS, _calling(copy.deepcopy, nested))
    yield Case("a large power", HOLDS, _calling(pow, 3, 20_000))
    yield Case("20 ms of Python", HOLDS, _calling(spin, loops), 0.2)
    yield Case("sys.getsizeof", HOLDS, _calling(sys.getsizeof, numbers))


def _calling(function: Callable[..., Any], *args: object) -> Callable[[], object]:
    return lambda: function(*args)


def _nothing() -> None:
    pass


def _spin_and_sleep(loops: int) -> None:
    spin(loops)
    time.sleep(0)


def _spin_and_call(loops: int, function: Callable[[str], object]) -> None:
    spin(loops)
    function("/")


def _start_and_join() -> None:
    thread = threading.Thread(target=_nothing)
    thread.start()
    thread.join()
