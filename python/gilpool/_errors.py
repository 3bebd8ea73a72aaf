"""Errors that only the Python side raises; TaskExit and WaitTimeout are native."""

import queue


class PoolFull(queue.Full):
    """A pool had no free slot, at once or in the time given.

    Raised by ``Pool.add`` and ``Pool.start``; ``Pool.spawn`` waits instead.
    """
