"""A timeout that several waits in a row share."""

import math
import time


def check_timeout(timeout: float | None) -> None:
    """Raise TypeError or ValueError for what is no timeout, naming the argument."""
    if timeout is None:
        return
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be an int or a float, not {type(timeout).__name__}")
    if math.isnan(timeout):
        raise ValueError("timeout must not be NaN")


class Deadline:
    """The moment a timeout runs out.

    Args:
        timeout: Seconds from now, or None for never.

    Raises: TypeError or ValueError for what is no timeout.
    """

    def __init__(self, timeout: float | None) -> None:
        check_timeout(timeout)
        self._at = None if timeout is None else time.monotonic() + timeout

    def remaining(self) -> float | None:
        """Seconds left, 0 when over, None when there is no end."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())
