"""Pool: gevent's words on native threads, and the default pool behind gilpool.spawn."""

import warnings
from types import TracebackType
from typing import Final

from gilpool import _core

_LEAVE_WITHIN: Final = 5.0
"""Seconds a `with Pool()` left by an exception waits for the tasks that run."""


class Pool(_core.Pool):
    """Runs Python calls on native threads.

    A pool is accounting over threads that the process shares: making one starts nothing, and a
    thread appears when there is work for it. Calls that block in C code which releases the GIL
    overlap; short calls are run back to back by few threads.

    Args:
        size: Most tasks at once, queued or running; `spawn` waits when there are as many. None: no
            limit of the pool's own.
        name: For people: shown in the repr.
        daemon: Whether the interpreter's exit cancels and abandons the tasks instead of running
            them to their end. May be set later, too.

    As a context manager it joins when left normally. Left by an exception it cancels what is
    queued, ends gilpool's own sleeps, waits up to 5 s for what runs, and then warns
    (RuntimeWarning) with the names of what is stuck.

    Thread safety: every method may be called from any thread.
    GIL: `spawn` keeps it unless it has to wait; `join` and leaving the context release it.
    Raises: ValueError or TypeError for a size that is no count or a name that is no text.

        >>> import gilpool
        >>> with gilpool.Pool() as pool:
        ...     task = pool.spawn(pow, 2, 10)
        >>> task.get()
        1024
    """

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is None:
            self.join()
            return
        self._cancel_queued()
        self._stop_running()
        if not self.join(timeout=_LEAVE_WITHIN):
            stuck = ", ".join(sorted(task.name for task in self._tasks()))
            warnings.warn(
                f"{self!r} was left by {exc_type.__name__} while tasks still run: {stuck}",
                RuntimeWarning,
                stacklevel=2,
            )


default_pool: Final = Pool(name="default")
"""The pool behind `gilpool.spawn`; without a size."""

_core._set_default_pool(default_pool)

spawn = default_pool.spawn
