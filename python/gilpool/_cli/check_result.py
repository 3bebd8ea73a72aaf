"""One call's outcome, and the `--json` object of all of them.

schema       1; grows when a key changes its name or meaning (new keys may come at any time)
command      "check"
passed       whether every verdict was given and none is other than expected
machine      gilpool, python, implementation, free_threaded_build, gil_enabled, cores, platform
calls        one object per call, in the order in which they were measured:
    call                 the call as text
    expected             "releases", "holds", or null if either will do
    min_released         the least fraction of its time that it must be off the GIL, or null
    complaint            null, or what is not as expected
    error                null, or why it could not be measured; else these keys are there too:
    name, verdict, wall, cpu, released, longest_hold, calls, wins, controls, seconds,
    disturbances, reason    those of gilpool.gil.GilReport; all times in seconds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gilpool._cli.child import machine_facts
from gilpool.gil import GilReport

SCHEMA = 1


@dataclass(frozen=True)
class Result:
    """What became of one call: a report, or the reason why there is none."""

    label: str
    report: GilReport | None
    error: str | None = None
    expected: str | None = None
    min_released: float | None = None

    @property
    def verdict(self) -> str:
        """The report's, or "not here" if the call cannot be made on this machine."""
        return "not here" if self.report is None else self.report.verdict

    @property
    def inconclusive(self) -> bool:
        """Whether it was measured, and neither could be shown; or not how much is released."""
        if self.report is None:
            return False
        unknown = self.min_released is not None and self.report.released is None
        return self.verdict == "inconclusive" or (self.verdict == self.expected and unknown)

    @property
    def complaint(self) -> str | None:
        """What is not as expected; None if all is, or if there is no verdict."""
        if self.expected is None or self.report is None or self.inconclusive:
            return None
        if self.verdict != self.expected:
            return f"{self.label} {self.verdict} the GIL: expected that it {self.expected} it"
        released = self.report.released
        if self.min_released is not None and released is not None and released < self.min_released:
            return (
                f"{self.label} releases the GIL for {released:.0%} of its time: expected at least "
                f"{self.min_released:.0%}"
            )
        return None


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """Builds the object."""
    return {
        "schema": SCHEMA,
        "command": "check",
        "passed": not any(result.complaint or result.inconclusive for result in results),
        "machine": machine_facts(),
        "calls": [_call(result) for result in results],
    }


def _call(result: Result) -> dict[str, Any]:
    return {
        "call": result.label,
        "expected": result.expected,
        "min_released": result.min_released,
        "complaint": result.complaint,
        "error": result.error,
        **({} if result.report is None else result.report.to_dict()),
    }
