"""What a measurement has shown, and the error for when it has shown nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["releases", "holds", "inconclusive"]

RESOLUTION = 100e-6
"""Seconds: shorter holds of a call that releases are not resolved by the samples."""

_WORDS: dict[Verdict, str] = {
    "releases": "releases the GIL",
    "holds": "holds the GIL",
    "inconclusive": "inconclusive",
}


class Inconclusive(Exception):  # noqa: N818 - it is no error of the code that was measured
    """The measurement could tell neither way; no statement about the call.

    Attributes:
        report: the `GilReport`; its `reason` says why.
    """

    def __init__(self, message: str, report: GilReport) -> None:
        super().__init__(message)
        self.report = report

    def __reduce__(self) -> tuple[type[Inconclusive], tuple[str, GilReport]]:
        return (type(self), (str(self), self.report))


@dataclass(frozen=True)
class GilReport:
    """What a call does with the GIL. All times in seconds.

    Attributes:
        name: what was called.
        verdict: "releases" if it let go of the GIL while it ran, "holds" if it did not though every
            release made for comparison was noticed, "inconclusive" if neither could be shown.
        wall: what one call takes (median over the rounds).
        cpu: CPU time of the calling thread in one call.
        released: share of `wall` in which the calling thread did not hold the GIL, 0 to 1, from
            samples; None when it could not be estimated.
        longest_hold: longest stretch for which a call kept the GIL: a whole call if it holds, else
            from samples, to about 0.1 ms.
        calls: how often it was called, warm-up included.
        wins: how often a waiting native thread got the GIL during a call.
        controls: rounds in which a release made for comparison was noticed.
        seconds: how long it took from the first counted call to the verdict.
        disturbances: what else was going on: other Python threads, tracing, load and the like.
        reason: why the verdict is what it is.

    Thread safety: immutable. GIL: held.
    """

    name: str
    verdict: Verdict
    wall: float
    cpu: float
    released: float | None
    longest_hold: float
    calls: int
    wins: int
    controls: int
    seconds: float
    disturbances: tuple[str, ...]
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Everything as a new dict that JSON can carry."""
        return {**asdict(self), "disturbances": list(self.disturbances)}

    def __str__(self) -> str:
        share = "" if self.released is None else f"released {self.released:.0%} of the time, "
        lines = [
            f"{self.name}: {_WORDS[self.verdict]}",
            f"  why: {self.reason}",
            f"  one call: {duration(self.wall)}, CPU {duration(self.cpu)}; {share}"
            f"longest hold {self._longest_hold_in_words()}",
            f"  seen: {count(self.wins, 'win')} in {count(self.calls, 'call')}, "
            f"{count(self.controls, 'control')}, verdict after {duration(self.seconds)}",
        ]
        if self.disturbances:
            lines.append(f"  disturbed by: {'; '.join(self.disturbances)}")
        return "\n".join(lines)

    __repr__ = __str__

    def _longest_hold_in_words(self) -> str:
        sampled = self.verdict != "holds"
        if sampled and self.longest_hold < RESOLUTION:
            return f"under {duration(RESOLUTION)}"
        return duration(self.longest_hold)


def count(number: int, noun: str) -> str:
    """`1 win`, `2 wins`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.0f} ns"
