"""Percentiles of measured values."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest of the ordered values that at least `percent` of them do not exceed.

    It is always one of the values: a p99 of few values is the worst of them, never better.

    Raises:
        ValueError: There are no values.
    """
    if not ordered:
        raise ValueError("no values, so no percentile")
    place = math.ceil(len(ordered) * percent / 100)
    return ordered[max(place, 1) - 1]
