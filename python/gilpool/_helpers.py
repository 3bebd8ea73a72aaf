"""Tasks of gilpool's own that only wait for other tasks, and the backlog that one of them serves.

Helpers have threads of their own and take no slot of the pool they work for. Exit runs them to
their end if it does so with that pool's tasks.
"""

import contextlib
import gc
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from gilpool import _core
from gilpool._core import Task, TaskExit
from gilpool._forks import PARENTS_TASK

helpers: Final = {
    daemon: _core.Pool(name="helpers", context="copy", daemon=daemon) for daemon in (False, True)
}
"""The pools of the helpers, by whether they work for a daemon."""

maps_under_way: Final[dict[Task[Any], object]] = {}
"""Helpers that spawn the calls of a map, or wait for them, each with the pool or group."""


def map_is_over(helper: Task[Any]) -> None:
    """Take a helper out; its link, too, for it may never begin."""
    maps_under_way.pop(helper, None)


# What the parent's waiting tasks were given, in a forked child. Kept: dropping it would close the
# parent's sockets and flush its files once more.
_of_the_parent: Final[list[object]] = []


class Admit(Protocol):
    """Starts a fresh task once there is a slot for it; False if there was none in time."""

    def __call__(self, task: Task[Any], timeout: float | None = None, /) -> bool: ...


class Backlog:
    """Fresh tasks that wait for a slot, so that their spawner need not.

    They are admitted in the order in which they came, by one helper that lives as long as there
    are any.

    Thread safety: any thread; the operations of the deque and the dict are atomic.
    """

    def __init__(self) -> None:
        self._tasks: deque[Task[Any]] = deque()
        self._helper: dict[str, Task[None]] = {}  # has its one entry while a helper serves

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def __iter__(self) -> Iterator[Task[Any]]:
        return iter(list(self._tasks))

    def append(self, task: Task[Any], admit: Admit, daemon: bool) -> None:
        """Have admit(task) called once those before it have been admitted. Never blocks."""
        self._tasks.append(task)
        try:
            self._see_to_helper(admit, daemon)
        except BaseException:
            with contextlib.suppress(ValueError):
                self._tasks.remove(task)
            raise

    def _see_to_helper(self, admit: Admit, daemon: bool) -> None:
        if "serves" in self._helper:
            return
        helper = Task(self._serve, admit, daemon)
        if self._helper.setdefault("serves", helper) is helper:
            try:
                helpers[daemon]._start(helper, None)
            except BaseException:
                del self._helper["serves"]
                raise

    def _serve(self, admit: Admit, daemon: bool) -> None:
        try:
            while self._tasks:
                task = self._tasks[0]  # not taken out yet: nobody may overtake it
                try:
                    admit(task)
                except Exception as error:
                    task._cancel(error)
                self._tasks.popleft()
        finally:
            del self._helper["serves"]
        if self._tasks:  # came after the last look, and found this helper still there
            self._see_to_helper(admit, daemon)

    def cancel(self) -> None:
        """End every task that waits now, as a kill would. Those that come later are admitted."""
        self._end_all(TaskExit)

    def abandon(self) -> None:
        """End every task that waits, and the helper, in line for a slot that there never is."""
        self.cancel()
        helper = self._helper.get("serves")
        if helper is not None:
            helper.kill(block=False)

    def begin_anew(self) -> None:
        """In a forked child: fail every task that waits, for there is no helper."""
        self._helper.clear()
        _of_the_parent.extend(gc.get_referents(*self._tasks))
        for task in self._end_all(lambda: RuntimeError(PARENTS_TASK)):
            _ = task.exception  # who does not ask for it need not hear of it
        self._tasks.clear()

    def _end_all(self, exception: Callable[[], BaseException]) -> list[Task[Any]]:
        tasks = list(self._tasks)
        for task in tasks:
            task._cancel(exception())
        return tasks
