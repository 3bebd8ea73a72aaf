"""A timeout that several waits in a row share."""

import math
import time
from typing import SupportsFloat, SupportsIndex


def check_timeout(timeout: SupportsFloat | SupportsIndex | None) -> float | None:
    """Return a timeout in seconds; the same numbers will do, and fail, as in native functions.

    Raises: TypeError or ValueError for what is no timeout, naming the argument.
    """
    if timeout is None:
        return None
    kind = type(timeout)
    if not (hasattr(kind, "__float__") or hasattr(kind, "__index__")):
        raise TypeError(f"timeout must be an int or a float, not {kind.__name__}")
    try:
        seconds = float(timeout)
    except OverflowError:
        raise ValueError("timeout is too large") from None
    if math.isnan(seconds):
        raise ValueError("timeout must not be NaN")
    return seconds


class Deadline:
    """The moment a timeout runs out.

    Args:
        timeout: Seconds from now, or None for never.

    Raises: TypeError or ValueError for what is no timeout.
    """

    def __init__(self, timeout: float | None) -> None:
        seconds = check_timeout(timeout)
        self._at = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Seconds left, 0 when over, None when there is no end."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    def remaining_of(self, seconds: float) -> float:
        """So many seconds, or what is left if that is less."""
        left = self.remaining()
        return seconds if left is None else min(left, seconds)
