"""What `await task` does: asyncio waits for a task without a thread.

`wait_for` is called by the native Task for every ``await``, in the thread of the event loop; the
links run on workers. A loop is woken once for all completions that arrive before it looks.
"""

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Generator
from typing import Any, TypeVar

from gilpool import _core, _forks
from gilpool._core import Task

_T = TypeVar("_T")


class _Doorbell:
    """Futures of one loop whose tasks are done, and whether the loop has been told to look.

    The deque's own operations are atomic. The flag may be read by two workers at once; then the
    loop is woken twice, which is harmless.
    """

    def __init__(self) -> None:
        self._done: deque[asyncio.Future[None]] = deque()
        self._rung = False

    def ring(self, future: "asyncio.Future[None]") -> None:
        """Have `future` completed by its loop; from any thread."""
        self._done.append(future)
        if self._rung:
            return
        self._rung = True
        try:
            future.get_loop().call_soon_threadsafe(self._answer)
        except RuntimeError:  # the loop has been closed: nobody waits there any more
            self._rung = False
            self._done.clear()

    def _answer(self) -> None:
        self._rung = False  # before looking: what comes later rings again
        while self._done:
            future = self._done.popleft()
            if not future.done():  # the await may have been cancelled meanwhile
                future.set_result(None)


_doorbells: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Doorbell]" = (
    weakref.WeakKeyDictionary()
)


def _doorbell_of(loop: asyncio.AbstractEventLoop) -> _Doorbell:
    doorbell = _doorbells.get(loop)
    if doorbell is None:
        doorbell = _doorbells[loop] = _Doorbell()
    return doorbell


class _Link:
    """The callback of one await."""

    def __init__(self, doorbell: _Doorbell, future: "asyncio.Future[None]") -> None:
        self._doorbell = doorbell
        self._future = future

    def __call__(self, _task: object) -> None:
        self._doorbell.ring(self._future)


class _Awaits:
    """Which awaits wait for which task; the loops of several threads may wait for the same one.

    The lock is reentrant because the collector may close a forgotten coroutine at any allocation;
    each step here leaves the books right for that.
    """

    def __init__(self) -> None:
        # Numbers, nothing that would keep a loop alive: one that is closed while its coroutine
        # waits takes the coroutine with it, and that ends its await when it is collected.
        self._count: dict[int, int] = {}
        self._lock = threading.RLock()
        _forks.see_to(self)

    def begin(self, task: Task[Any]) -> None:
        with self._lock:
            self._count[id(task)] = self._count.get(id(task), 0) + 1

    def end(self, task: Task[Any]) -> bool:
        """Whether it was the task's last one."""
        with self._lock:
            left = self._count.pop(id(task), 1) - 1
            if left > 0:
                self._count[id(task)] = left
            return left <= 0

    def _begin_anew(self) -> None:
        self._lock = threading.RLock()


_awaits = _Awaits()


def wait_for(task: Task[_T]) -> Generator[Any, None, _T]:
    """Wait for `task` in the running event loop; the iterator behind ``Task.__await__``.

    Cancelling the await kills the task if it has not begun and nobody else waits for it, in another
    await or on a thread; running work goes on, and its result is for whoever else asks.

    Raises: what the task raised; RuntimeError outside an event loop or when a task awaits itself.
    """
    if not task.ready():
        if task is _core.getcurrent():
            raise RuntimeError("a task cannot wait for itself")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        link = _Link(_doorbell_of(loop), future)
        task.rawlink(link)
        _awaits.begin(task)
        cancelled = False
        try:
            yield from future
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            task.unlink(link)
            if _awaits.end(task) and cancelled and not task._is_waited_for():
                task._cancel()
    return task.get()
