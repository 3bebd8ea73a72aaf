"""Measures one callable: prepares the interpreter, runs the rounds, puts everything back."""

from __future__ import annotations

import gc
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from gilpool import _core
from gilpool.gil._callables import name_of, refuse_unmeasurable, refuse_unrun
from gilpool.gil._disturbances import disturbances, other_threads
from gilpool.gil._report import GilReport
from gilpool.gil._rounds import Rounds

LONG_INTERVAL = 30.0
"""Seconds, at least: the switch interval while measuring. Longer than the measurement, so that no
thread that waits for the GIL asks for it."""


class _Turn:
    """One measurement at a time in the process: it changes what belongs to all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner: int | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        if self._owner == threading.get_ident():
            raise RuntimeError("a measurement cannot run inside a call that is being measured")
        with self._lock:
            self._owner = threading.get_ident()
            try:
                yield
            finally:
                self._owner = None

    def forget(self) -> None:
        """In a forked child: whoever measures, measures in the parent."""
        self.__init__()  # type: ignore[misc]


_turn = _Turn()
os.register_at_fork(after_in_child=_turn.forget)


class Probe:
    """Measures callables with settings of its own.

    The module's functions use `Probe()`. A probe keeps nothing between measurements.

    Args:
        budget: seconds after which a measurement without a verdict ends as inconclusive. A call
            that takes longer than that is still made three times.
        warmup: calls made before the measurement, for what is done only once (imports let go of
            the GIL).
        sample: whether to estimate `released` and `longest_hold`, which takes another 20 ms with
            short calls that release, on a busy machine up to 2 s.
        watch_wakes: whether to ask the kernel if the waiting thread was woken, which shows brief
            releases too (Linux). Else another thread looks closely for those, on a core of its own,
            before it is said that a call holds.

    Raises:
        ValueError: `budget` is not a positive number, or `warmup` is negative.

    Thread safety: any thread; measurements wait for each other. GIL: held, but for what the
    measured call and the releases made for comparison do.

        >>> import time
        >>> from gilpool.gil import Probe
        >>> Probe(budget=2.0).report(time.sleep, 0.001).verdict
        'releases'
    """

    def __init__(
        self,
        *,
        budget: float = 5.0,
        warmup: int = 1,
        sample: bool = True,
        watch_wakes: bool = True,
    ) -> None:
        if not (budget > 0 and math.isfinite(budget)):
            raise ValueError(f"budget must be a positive number of seconds, not {budget!r}")
        if warmup < 0:
            raise ValueError(f"warmup must not be negative, but is {warmup}")
        self.budget = budget
        self.warmup = warmup
        self.sample = sample
        self.watch_wakes = watch_wakes

    def __repr__(self) -> str:
        return (
            f"Probe(budget={self.budget!r}, warmup={self.warmup!r}, sample={self.sample!r}, "
            f"watch_wakes={self.watch_wakes!r})"
        )

    def report(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> GilReport:
        """Measure what `fn(*args, **kwargs)` does with the GIL.

        The call is made many times if it is short, three times or more if it is long, always on
        this thread.

        Raises:
            TypeError: `fn` cannot be called, or a call would not run it (coroutines, generators).
            RuntimeError: called by a function that is being measured.
            Exception: whatever `fn` raised.
        """
        refuse_unmeasurable(fn)
        with _turn.taken():
            if not has_gil():
                return self._measure_without_gil(fn, args, kwargs)
            return self._measure(fn, args, kwargs)

    def _measure(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> GilReport:
        around = disturbances()
        interval = sys.getswitchinterval()
        patience = max(LONG_INTERVAL, 4 * self.budget)
        with (
            _collector_off(),
            closing(_core.WitnessProbe(interval, self.watch_wakes)) as probe,
            _put_back_at_end(interval),  # before the threads are joined, which needs a short one
        ):
            sys.setswitchinterval(patience)
            if other_threads():
                # Who began to wait for the GIL before now is patient only from the next time on.
                probe.release_for(2 * interval)
            began = time.perf_counter()
            for _ in range(self.warmup):
                refuse_unrun(fn(*args, **kwargs), fn)
            one_call = (time.perf_counter() - began) / max(1, self.warmup)
            patience = max(patience, 20 * one_call)
            if not probe.hogged:
                sys.setswitchinterval(patience)
            rounds = Rounds(probe, fn, args, kwargs, self.budget, one_call, patience)
            rounds.judge()
            if self.sample:
                rounds.estimate()
        if probe.hogged:
            around.append("a Python thread that computes")
        return GilReport(
            name=name_of(fn),
            verdict=rounds.verdict,
            wall=rounds.wall,
            cpu=rounds.cpu,
            released=rounds.released,
            longest_hold=rounds.longest_hold,
            calls=rounds.calls + self.warmup,
            wins=rounds.wins,
            controls=rounds.controls,
            seconds=rounds.seconds,
            disturbances=tuple(around),
            reason=rounds.reason,
        )

    def _measure_without_gil(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> GilReport:
        """There is nothing to let go of: every call lets others run."""
        for _ in range(self.warmup):
            refuse_unrun(fn(*args, **kwargs), fn)
        cpu_began, began = time.thread_time(), time.perf_counter()
        fn(*args, **kwargs)
        wall, cpu = time.perf_counter() - began, time.thread_time() - cpu_began
        return GilReport(
            name=name_of(fn),
            verdict="releases",
            wall=wall,
            cpu=cpu,
            released=1.0,
            longest_hold=0.0,
            calls=self.warmup + 1,
            wins=0,
            controls=0,
            seconds=wall,
            disturbances=tuple(disturbances()),
            reason="this interpreter runs without a GIL: no call can keep others from running",
        )


@contextmanager
def _collector_off() -> Iterator[None]:
    """No garbage collection, whose finalizers may do anything, while the block runs."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextmanager
def _put_back_at_end(interval: float) -> Iterator[None]:
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def has_gil() -> bool:
    """False on a free-threaded build, unless something has turned its GIL on."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return enabled is None or enabled()
