"""Whether a report is as somebody wants it: the one judge of the assertions and of the plugin.

A judge says what it found and leaves it to its caller what that means: an error, a skipped test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, SupportsFloat, SupportsIndex

from gilpool.gil._report import GilReport, duration


@dataclass(frozen=True)
class Judgement:
    """What was found of one report.

    Attributes:
        outcome: "as wanted", "otherwise", or "unknown" if the report can tell neither.
        report: what was judged; of several, the last.
        message: what was wanted and found instead, the report included; empty if it is as wanted.
    """

    outcome: Literal["as wanted", "otherwise", "unknown"]
    report: GilReport
    message: str = ""


def check_share(min_released: float) -> None:
    """Refuses what is no share: TypeError or ValueError."""
    _check_number("min_released", min_released)
    if not 0 <= min_released <= 1:
        raise ValueError(f"min_released must be between 0 and 1, not {min_released!r}")


def check_tries(max_ms: float, tries: int) -> None:
    """Refuses what is no bound or no number of tries: TypeError or ValueError."""
    _check_number("max_ms", max_ms)
    if not max_ms > 0:
        raise ValueError(f"max_ms must be positive, not {max_ms!r}")
    if not isinstance(tries, SupportsIndex):
        raise TypeError(f"tries must be an int, not {type(tries).__name__}")
    if tries < 1:
        raise ValueError(f"tries must be at least 1, not {tries!r}")


def _check_number(name: str, value: object) -> None:
    if not isinstance(value, SupportsFloat):
        raise TypeError(f"{name} must be an int or a float, not {type(value).__name__}")


def judge_release(seen: GilReport, min_released: float) -> Judgement:
    """Does it let go of the GIL for so much of its time? With 0 any release will do."""
    if seen.verdict == "inconclusive":
        return _unknown(seen, "whether it releases the GIL")
    if seen.verdict == "holds":
        return _otherwise(seen, "expected to release the GIL, but it holds it")
    if min_released > 0 and seen.released is None:
        return _unknown(seen, "how much it releases the GIL")
    if seen.released is not None and seen.released < min_released:
        return _otherwise(
            seen,
            f"expected to release the GIL for at least {min_released:.0%} of its time, "
            f"but it did for {seen.released:.0%}",
        )
    return Judgement("as wanted", seen)


def judge_hold(seen: GilReport) -> Judgement:
    """Does it never let go of the GIL?"""
    if seen.verdict == "inconclusive":
        return _unknown(seen, "whether it holds the GIL")
    if seen.verdict == "releases":
        return _otherwise(seen, "expected to hold the GIL, but it releases it")
    return Judgement("as wanted", seen)


def judge_max_hold(measure: Callable[[], GilReport], max_ms: float, tries: int) -> Judgement:
    """Does one of so many measurements find that it keeps the GIL for `max_ms` at most?"""
    __tracebackhide__ = True  # pytest shows the test whose call raised, not this frame
    held: list[str] = []
    while True:
        seen = measure()
        if seen.longest_hold * 1e3 <= max_ms:
            return Judgement("as wanted", seen)
        held.append(duration(seen.longest_hold))
        if len(held) == tries:
            return _otherwise(
                seen,
                f"expected to keep the GIL for at most {max_ms:g} ms, but it did for "
                f"{', '.join(held)} (a timing test, {tries} tries; CPU time of one call: "
                f"{duration(seen.cpu)})",
            )


def _unknown(seen: GilReport, what: str) -> Judgement:
    return Judgement("unknown", seen, f"could not tell {what}\n{seen}")


def _otherwise(seen: GilReport, message: str) -> Judgement:
    return Judgement("otherwise", seen, f"{message}\n{seen}")
