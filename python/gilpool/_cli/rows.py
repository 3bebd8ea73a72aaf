"""What the experiment measures and what must come out of it: data and arithmetic only.

Parent and measuring child both build their rows here, from the same parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["released", "held"]
Runner = Literal["threading.Thread", "gilpool.Pool"]

RELEASED_AT_MOST = 1.3
"""Calls that overlap must all be over after this many times one call."""
HELD_AT_LEAST = 0.9
"""Calls that run one after the other must take at least this share of all calls added up."""
RELEASED_FROM = 0.5
"""A row counts as released when this share of its in-call time was spent off the GIL."""

SLEEPERS = 10
SLEEPER_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the user may choose."""

    threads: int = 5
    ms: float = 5000.0
    kernel: str | None = None
    """Compute with this function of gilpool.kernels instead of sleeping."""
    cores: int = 1
    """How many processors there are, which bounds what computing can gain."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the experiment: so many threads, each making the same call once."""

    number: int
    """1, 2, ... as a person counts; the stamps carry it too."""
    runner: Runner
    call: str
    """sleep_nogil, sleep_gil, time.sleep, or how a kernel is called."""
    threads: int
    call_ms: float
    expected: Verdict
    """What the call is documented to do with the GIL; what it did is decided from the stamps."""
    gate: bool
    """All threads exist before the first call begins; without, they are spawned in a plain loop."""
    kernel: str | None = None
    """What computes; None: the call sleeps."""
    least_ratio: float = 1.0
    """What perfect concurrency would reach: calls that compute share the cores."""

    @property
    def released_at_most(self) -> float:
        """Calls that overlap must all be over after this many times one call."""
        return RELEASED_AT_MOST * self.least_ratio

    @property
    def ideal(self) -> float:
        """Seconds that perfect concurrency would take: one call."""
        return self.call_ms / 1000

    @property
    def label(self) -> str:
        """How many of which call, as one would write it."""
        if self.kernel is not None:
            return f"{self.threads} x {self.call}"
        argument = self.ideal if self.call == "time.sleep" else self.call_ms
        return f"{self.threads} x {self.call}({argument:g})"


def experiment_rows(parameters: Parameters) -> tuple[Row, ...]:
    """The five rows, in the order in which they run."""
    threads, ms = parameters.threads, parameters.ms
    if parameters.kernel is not None:
        return _kernel_rows(parameters, parameters.kernel)
    return (
        Row(1, "threading.Thread", "sleep_nogil", threads, ms, "released", gate=True),
        Row(2, "threading.Thread", "sleep_gil", threads, ms, "held", gate=True),
        Row(3, "gilpool.Pool", "sleep_nogil", threads, ms, "released", gate=True),
        Row(4, "gilpool.Pool", "sleep_gil", threads, ms, "held", gate=True),
        Row(5, "gilpool.Pool", "time.sleep", SLEEPERS, min(SLEEPER_MS, ms), "released", gate=False),
    )


def _kernel_rows(parameters: Parameters, kernel: str) -> tuple[Row, ...]:
    """The first four rows with a kernel in the place of the sleeps."""
    runners: tuple[Runner, ...] = ("threading.Thread", "gilpool.Pool")
    verdicts: tuple[Verdict, ...] = ("released", "held")
    return tuple(
        Row(
            number=1 + 2 * i + j,
            runner=runner,
            call=f"{kernel}(release_gil={verdict == 'released'})",
            threads=parameters.threads,
            call_ms=parameters.ms,
            expected=verdict,
            gate=True,
            kernel=kernel,
            least_ratio=max(1.0, parameters.threads / parameters.cores),
        )
        for i, runner in enumerate(runners)
        for j, verdict in enumerate(verdicts)
    )


def seed_rows(parameters: Parameters) -> tuple[Row, ...]:
    """The two rows with which it all began: plain threads, released and held."""
    return experiment_rows(parameters)[:2]


def complaint(row: Row, ratio: float, verdict: Verdict, *, gil_enabled: bool) -> str | None:
    """What is wrong with a measured row, or None when it came out as it must.

    Without a GIL nothing is left to hold, so both kinds of call must overlap.
    """
    name = f"{row.runner} with {row.call}"
    if gil_enabled and row.expected == "held":
        least = HELD_AT_LEAST * row.threads
        if ratio < least:
            return f"{name} took {ratio:.2f}x one call, where at least {least:.2f}x was expected"
    elif ratio > row.released_at_most:
        why = "" if gil_enabled else " (there is no GIL to hold)"
        return (
            f"{name} took {ratio:.2f}x one call, "
            f"where at most {row.released_at_most:.2f}x was expected{why}"
        )
    if gil_enabled and verdict != row.expected:
        return (
            f"{name} {verdict} the GIL according to its stamps, where {row.expected} was expected"
        )
    return None
