"""Tasks of gilpool's own that only wait for other tasks, and the backlog that one of them serves.

Helpers have threads of their own and take no slot of the pool they work for. Exit runs them to
their end if it does so with that pool's tasks.
"""

from collections import deque
from typing import Any, Final, Protocol

from gilpool import _core
from gilpool._core import Task

helpers: Final = {
    daemon: _core.Pool(name="helpers", context="copy", daemon=daemon) for daemon in (False, True)
}
"""The pools of the helpers, by whether they work for a daemon."""


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
        self._helper: dict[str, object] = {}  # has its one entry while a helper serves

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def append(self, task: Task[Any], admit: Admit, daemon: bool) -> None:
        """Have admit(task) called once those before it have been admitted. Never blocks."""
        self._tasks.append(task)
        self._see_to_helper(admit, daemon)

    def _see_to_helper(self, admit: Admit, daemon: bool) -> None:
        mark = object()
        if self._helper.setdefault("serves", mark) is mark:
            helpers[daemon].spawn(self._serve, admit, daemon)

    def _serve(self, admit: Admit, daemon: bool) -> None:
        while self._tasks:
            task = self._tasks[0]  # not taken out yet: nobody may overtake it
            try:
                admit(task)
            except Exception as error:
                task._cancel(error)
            self._tasks.popleft()
        del self._helper["serves"]
        if self._tasks:  # came after the last look, and found this helper still there
            self._see_to_helper(admit, daemon)
