"""Calls as work of a contestant, timed by themselves. One thread at a time, as all contestants."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.declare import Outcome


def timed(
    call: Callable[..., object],
    prepare: Callable[[], tuple[Any, ...]] = tuple,
    check: Callable[[Any], None] | None = None,
    repeat: int = 1,
) -> Callable[[], Outcome]:
    """The call as work: making its arguments and looking at its result are not in its time.

    A call that does its work `repeat` times has the time of one.
    """

    def work() -> Outcome:
        arguments = prepare()
        begin = time.perf_counter()
        found = call(*arguments)
        wall = time.perf_counter() - begin
        if check is not None:
            check(found)
        return Outcome({"wall": wall / repeat}, {})

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
