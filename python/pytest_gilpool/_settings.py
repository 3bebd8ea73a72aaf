"""What the user may choose: what an inconclusive verdict means, and the time for one verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

OUTCOMES = ("skip", "fail", "warn")
DEFAULT_OUTCOME = "skip"
DEFAULT_BUDGET = 5.0


class GilInconclusiveWarning(pytest.PytestWarning):
    """No verdict on the GIL could be given, and `gil_inconclusive = warn` lets the test go on."""

    __module__ = "pytest_gilpool"


@dataclass(frozen=True)
class Settings:
    """One run's choices."""

    inconclusive: str
    """What a test does whose verdict is inconclusive: "skip", "fail" or "warn"."""
    budget: float
    """Seconds that one verdict may take at most."""


def add_options(parser: pytest.Parser) -> None:
    """Declares the command line options and the ini options of the same meaning."""
    group = parser.getgroup("gil", "GIL verdicts (gilpool)")
    group.addoption(
        "--gil-inconclusive",
        choices=OUTCOMES,
        help="what a test does when nothing can be said about the GIL (default: the ini option "
        f"gil_inconclusive, else {DEFAULT_OUTCOME})",
    )
    group.addoption(
        "--gil-budget",
        metavar="SECONDS",
        help="seconds that one verdict may take at most (default: the ini option gil_budget, else "
        f"{DEFAULT_BUDGET:g})",
    )
    parser.addini(
        "gil_inconclusive",
        f"what an inconclusive verdict does to a test: {', '.join(OUTCOMES)}",
        default=DEFAULT_OUTCOME,
    )
    parser.addini(
        "gil_budget",
        "seconds that one verdict on the GIL may take at most",
        default=str(DEFAULT_BUDGET),
    )


def read(config: pytest.Config) -> Settings:
    """The choices of this run.

    Raises:
        pytest.UsageError: A value is none of those allowed.
    """
    inconclusive = config.getoption("gil_inconclusive") or config.getini("gil_inconclusive")
    if inconclusive not in OUTCOMES:
        raise pytest.UsageError(
            f"gil_inconclusive must be one of {', '.join(OUTCOMES)}, not {inconclusive!r}"
        )
    text = config.getoption("gil_budget") or config.getini("gil_budget")
    try:
        budget = float(text)
    except ValueError:
        budget = math.nan
    # NaN compares false.
    if not 0 < budget < math.inf:
        raise pytest.UsageError(f"gil_budget must be a number of seconds above 0, not {text!r}")
    return Settings(str(inconclusive), budget)
