"""What Pool and Group do with all of their tasks at once: kill, `with`, errors after a join."""

import warnings
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Final, TypeVar

from gilpool import _core
from gilpool._core import Task, TaskExit
from gilpool._deadline import Deadline
from gilpool._helpers import Backlog, map_is_over, maps_under_way
from gilpool._imap import IMap
from gilpool._living import Living
from gilpool._uncopied import Uncopied
from gilpool._waiting import KillWith, check_killable, error_of, is_ready, wait

_T = TypeVar("_T")
_Self = TypeVar("_Self", bound="Collective")

_LEAVE_WITHIN: Final = 5.0
"""Seconds a `with` block left by an exception waits for the tasks that run."""

_FEEDERS_NOTICE_WITHIN: Final = 0.1
"""Seconds a kill waits for what reads the input of a map, which may be stuck in foreign code."""


class Collective(Uncopied):
    """Mix-in for what tracks tasks: needs iteration, `in`, discard and join."""

    _backlog: Backlog
    _dying: "Living[Any] | None" = None
    _results_under_way: "Living[IMap[Any]] | None" = None

    def __iter__(self) -> Iterator[Task[Any]]:
        raise NotImplementedError

    def discard(self, task: Task[Any]) -> None:
        """Stop tracking a task, which goes on; nothing if it is not tracked."""
        raise NotImplementedError

    def join(self, timeout: float | None = None, raise_error: bool = False) -> bool:
        """Wait until no task is tracked; see the classes."""
        raise NotImplementedError

    def _feed(self, results: IMap[_T]) -> IMap[_T]:
        """Remember, for as long as somebody has it, what starts tasks here."""
        if self._results_under_way is None:
            self._results_under_way = Living()
        self._results_under_way.add(results)
        return results

    def _not_dying_yet(self, tasks: Iterable[Any]) -> list[Any]:
        """Those that are killed for the first time; remembers them as dying."""
        if self._dying is None:
            self._dying = Living()
        return [task for task in tasks if self._dying.add(task)]

    def kill(
        self, exception: KillWith = TaskExit, block: bool = True, timeout: float | None = None
    ) -> None:
        """Kill every tracked task and wait until none is left.

        Each gets the exception once; those that have not begun never run, and those that come while
        this waits are killed, too. So are those that ``apply_async`` keeps until there is a slot,
        and maps that are under way: ``imap`` reads no more of its input, and whoever reads that far
        gets a RuntimeError. What was added but is no task is discarded. What ``Task.kill`` says
        about running tasks holds here. Called by one of the tasks it ends the others first and then
        raises the exception in that one.

        Args:
            exception: Type or instance to raise in them.
            block: Whether to wait.
            timeout: Seconds to wait at most; when over, this returns.

        Thread safety: any thread. GIL: released while waiting.
        Raises: TypeError for a bad `exception`; never what a task raised.

            >>> import gilpool
            >>> pool = gilpool.Pool()
            >>> task = pool.spawn(gilpool.sleep, 1000)
            >>> pool.kill()
            >>> task.get()
            TaskExit()
        """
        deadline = Deadline(timeout)
        current = _core.getcurrent()
        feeding: list[Task[Any]] = []
        noticed = False
        while True:
            feeding += self._stop_feeding(exception)
            self._cancel_queued(exception)
            members = list(self)
            begun = _core._cancel_tasks(members, exception, False)
            others = [task for task in members if task is not current]
            for task in self._not_dying_yet(task for task in begun if task is not current):
                if hasattr(task, "kill"):
                    task.kill(exception, block=False)
            if not block:
                break
            pending = []
            for task in others:
                if is_ready(task) or not hasattr(task, "rawlink"):
                    self.discard(task)  # its link has not run yet, or it has none
                else:
                    pending.append(task)
            if pending:
                wait(pending, deadline.remaining())
            if deadline.remaining() == 0:
                break
            if not others:
                if noticed or all(task.ready() for task in feeding):
                    break
                # Until then they may start one more task each.
                wait(feeding, deadline.remaining_of(_FEEDERS_NOTICE_WITHIN))
                noticed = True
        if current is not None and len(others) < len(members):
            current.kill(exception)

    def killone(
        self,
        task: Task[Any],
        exception: KillWith = TaskExit,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        """Kill one task if it is tracked here and has not been killed here before.

        Args:
            task: The task.
            exception: Type or instance to raise in it.
            block: Whether to wait until it has ended.
            timeout: Seconds to wait at most; when over, this returns.

        Thread safety: any thread. GIL: released while waiting.
        Raises: TypeError for a bad `exception`, and for what is tracked but cannot be killed.

            >>> import gilpool
            >>> pool = gilpool.Pool()
            >>> task = pool.spawn(gilpool.sleep, 1000)
            >>> pool.killone(task)
            >>> task.successful()
            True
        """
        if task not in self:
            return
        check_killable(task)
        if self._not_dying_yet([task]):
            task.kill(exception, block=block, timeout=timeout)

    def _stop_feeding(self, exception: KillWith) -> list[Task[Any]]:
        """Kill what would go on to start tasks here: those that wait for a slot, maps, inputs.

        Returns what has been killed now, and will end as soon as it notices.
        """
        _core._cancel_tasks(list(self._backlog), exception)
        current = _core.getcurrent()
        feeding = []
        for helper, owner in list(maps_under_way.items()):
            if owner is self and helper is not current:
                map_is_over(helper)  # which also ends its reading, should the exception get lost
                helper.kill(exception, block=False)
                feeding.append(helper)
        for results in self._results_under_way or ():
            feeding += results._stop()
        return feeding

    def _cancel_queued(self, exception: KillWith | None = None, /) -> None:
        """End what has not begun, at once where that is possible; killing it does so, too."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None:
            self._leave(exc_type)
            return
        try:
            self.join()
        except BaseException as error:
            # A task that joins what it is in has made a mistake, and the others go on.
            if _core.getcurrent() not in set(self):
                self._leave(type(error))
            raise

    def _leave(self, reason: type[BaseException]) -> None:
        """End all tasks, within reason, because the block was left by an exception."""
        self.kill(timeout=_LEAVE_WITHIN)
        if not self.join(timeout=0):
            stuck = ", ".join(sorted(getattr(task, "name", repr(task)) for task in self))
            warnings.warn(
                f"{self!r} was left by {reason.__name__} while tasks still run: {stuck}",
                RuntimeWarning,
                stacklevel=3,
            )


def first_error(tasks: Iterable[object]) -> BaseException | None:
    """What the first of the tasks that failed raised; None if none did."""
    for task in tasks:
        if is_ready(task):
            error = error_of(task)
            if error is not None:
                return error
    return None
