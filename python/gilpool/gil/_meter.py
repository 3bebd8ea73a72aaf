"""How busy the GIL is, for a whole process or a part of its life."""

from __future__ import annotations

import atexit
import math
from types import TracebackType
from typing import Any

from gilpool import _core

_LARGEST_RATE = 10_000.0


class Meter:
    """Counts how busy the GIL is while its block runs, from native threads.

    A thread that never takes the GIL looks `hz` times a second who holds it. Another one takes the
    GIL `knocks` times a second, at once lets it go, and so feels how long a thread that comes back
    from I/O has to wait. All figures are counters that only grow; they can be read while the meter
    runs, from any thread, and afterwards. Seconds throughout.

    A meter costs less than 1 % of the program's speed at the default rates; a knock at a thread
    that computes makes it hand over the GIL once.

    Args:
        hz: looks a second, up to 10,000; what lasts less than a period is seen by chance.
        knocks: knocks a second, up to 1,000; 0 for a meter that is entirely passive.

    Raises:
        ValueError: a rate out of range.
        RuntimeError: entered a second time, or on an interpreter that does not tell who holds the
            GIL (`gilpool.features()["gil_words"]`).

    Thread safety: any thread may read. GIL: held, but for the end, which lets it go.

        >>> import gilpool
        >>> with gilpool.gil.Meter() as meter:
        ...     gilpool.sleep_gil(100)
        >>> 0.8 < meter.busy_fraction <= 1
        True
    """

    def __init__(self, hz: float = 200.0, *, knocks: float = 5.0) -> None:
        if not (0 < hz <= _LARGEST_RATE):
            raise ValueError(f"hz must be above 0 and at most {_LARGEST_RATE:g}, not {hz!r}")
        if not (0 <= knocks <= _LARGEST_RATE / 10 and math.isfinite(knocks)):
            raise ValueError(f"knocks must be from 0 to {_LARGEST_RATE / 10:g}, not {knocks!r}")
        self.hz = hz
        self._native = _core.GilMeter(hz, knocks)

    def start(self) -> None:
        """Begin to count; `with` does it."""
        self._native.start()
        # A meter that nobody stops would meet a dying interpreter.
        atexit.register(self._native.stop)

    def stop(self) -> None:
        """Count no longer; idempotent."""
        self._native.stop()
        atexit.unregister(self._native.stop)

    def __enter__(self) -> Meter:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def elapsed(self) -> float:
        """Seconds since the start, until the stop."""
        return self._native.counters()["elapsed"]

    @property
    def missed(self) -> float:
        """Seconds of which nothing is known: the machine gave the meter no CPU."""
        return self._native.counters()["missed"]

    @property
    def busy(self) -> float:
        """Seconds in which some thread held the GIL, as far as was seen."""
        return self._native.counters()["busy"]

    @property
    def busy_fraction(self) -> float:
        """`busy` as a share of the time that was seen, 0 to 1; 0 before anything was."""
        return _busy_fraction(self._native.counters())

    @property
    def switches(self) -> int:
        """How often the GIL went from one thread to another; exact."""
        return int(self._native.counters()["switches"])

    @property
    def switches_per_second(self) -> float:
        """`switches` by `elapsed`."""
        counters = self._native.counters()
        return _ratio(counters["switches"], counters["elapsed"])

    @property
    def longest_hold(self) -> float:
        """Longest time in which all looks found one thread holding the GIL and no switch between.

        A thread that nobody competes with is seen to hold it for as long as it computes.
        """
        return self._native.counters()["longest_hold"]

    @property
    def knocks(self) -> int:
        """How often the knocking thread has got the GIL."""
        return int(self._native.counters()["knocks"])

    @property
    def waited(self) -> float:
        """Seconds that the knocking thread has waited for the GIL, all knocks together.

        `waited / knocks` is what a thread that comes back from I/O waits on average. It is not the
        time that the program's own threads have waited: no interpreter before 3.15 tells that.
        """
        return self._native.counters()["waited"]

    def to_dict(self) -> dict[str, Any]:
        """All of it, read at one moment, as a new dict that JSON can carry."""
        counters = self._native.counters()
        return {
            **counters,
            "busy_fraction": _busy_fraction(counters),
            "switches_per_second": _ratio(counters["switches"], counters["elapsed"]),
        }

    def __repr__(self) -> str:
        counters = self._native.counters()
        return (
            f"<Meter: GIL busy {_busy_fraction(counters):.0%} of {counters['elapsed']:.3g} s, "
            f"{_ratio(counters['switches'], counters['elapsed']):.3g} switches/s, "
            f"longest hold {counters['longest_hold'] * 1e3:.3g} ms>"
        )


def _ratio(amount: float, of: float) -> float:
    return amount / of if of > 0 else 0.0


def _busy_fraction(counters: dict[str, float]) -> float:
    return min(1.0, _ratio(counters["busy"], counters["elapsed"] - counters["missed"]))
