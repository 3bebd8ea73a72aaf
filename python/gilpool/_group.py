"""Group: tasks that run on the default pool, or anywhere, and belong together."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar

from gilpool import _core, _forks
from gilpool._collective import Collective, first_error
from gilpool._core import Task
from gilpool._deadline import Deadline, check_timeout
from gilpool._helpers import Backlog
from gilpool._mapping import MappingMixin
from gilpool._members import Members, remove, track, untrack
from gilpool._pool import default_pool
from gilpool._waiting import is_ready, wait

_A = TypeVar("_A")
_T = TypeVar("_T")
_P = ParamSpec("_P")


class Group(Collective, MappingMixin):
    """Tracks tasks until they are done, to wait for them or to kill them together.

    Has the words of a pool without a size: what it spawns runs on the default pool; what is added
    runs wherever it was spawned. A task leaves the group soon after it is done.

    Args:
        tasks: Tasks to begin with.

    As a context manager it joins when left normally and, like a pool, kills when left by an
    exception.

    A group is always true. ``len`` counts its tasks; ``in`` and iteration see the same ones.

    Thread safety: every method may be called from any thread.
    GIL: held, except by what waits.

        >>> import gilpool
        >>> group = gilpool.Group()
        >>> tasks = [group.spawn(pow, 2, n) for n in range(3)]
        >>> group.join()
        True
        >>> len(group)
        0
    """

    def __init__(self, tasks: Iterable[Any] = (), /) -> None:
        self._members: Members = {}
        self._joiners: dict[_core.Mailbox[None], None] = {}  # told of what is discarded
        self._backlog = Backlog()  # stays empty: a group is never full
        _forks.see_to(self)
        for task in tasks:
            self.add(task)

    def _begin_anew(self) -> None:
        self._members.clear()

    @property
    def daemon(self) -> bool:
        """What the default pool says."""
        return default_pool.daemon

    def _admit(self, task: Task[Any], _timeout: float | None = None, /) -> bool:
        self.start(task)
        return True

    def spawn(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Task[_T]:
        """Call function(*args, **kwargs) on the default pool; return its Task.

        Thread safety: any thread. GIL: held.
        Raises: TypeError when function is not callable.
        """
        task = Task(function, *args, **kwargs)
        self.start(task)
        return task

    def spawn_many(self, function: Callable[[_A], _T], iterable: Iterable[_A], /) -> list[Task[_T]]:
        """Spawn function(item) for each item; return the list of Tasks.

        Thread safety: any thread. GIL: held.
        Raises: TypeError when function is not callable; what the iterable raises.
        """
        return [self.spawn(function, item) for item in iterable]

    def start(self, task: Task[Any]) -> None:
        """Track a task and, if it has not been started, start it on the default pool.

        Thread safety: any thread. GIL: held.
        Raises: TypeError for what is no task.
        """
        if not hasattr(task, "start"):
            raise TypeError(f"task must be a Task, not {type(task).__name__}")
        self.add(task)
        try:
            task.start()
        except BaseException:
            self.discard(task)
            raise

    def add(self, task: Any) -> None:
        """Track a task that runs, or will run, elsewhere; nothing if it is done or tracked already.

        Whatever has gevent's ``rawlink`` will do for a task; what has not stays until discarded.

        Thread safety: any thread. GIL: held.

            >>> import gilpool
            >>> group = gilpool.Group()
            >>> group.add(gilpool.spawn(gilpool.sleep, 0.01))
            >>> group.join()
            True
        """
        if not (isinstance(task, Task) and task.ready()):
            track(self._members, task, self._ended)

    def _ended(self, task: Any) -> None:
        remove(self._members, task)

    def discard(self, task: Any) -> None:
        """Stop tracking a task, which goes on; nothing if it is not tracked.

        Thread safety: any thread. GIL: held.
        """
        if untrack(self._members, task, self._ended):
            for joiner in list(self._joiners):
                joiner.put(None)

    def __len__(self) -> int:
        return len(self._members)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, task: object) -> bool:
        return task in self._members

    def __iter__(self) -> Iterator[Task[Any]]:
        return iter(list(self._members))

    def join(self, timeout: float | None = None, raise_error: bool = False) -> bool:
        """Wait until the group has no task any more.

        Args:
            timeout: Seconds to wait at most.
            raise_error: Whether to raise, afterwards, the exception of a task that was in the group
                when this was called.

        Returns:
            True if the group was empty at least once, False if the time was over before.

        Thread safety: any thread. GIL: released while waiting; Ctrl-C ends the wait in the main
        thread.
        Raises: RuntimeError in a task of this group; with `raise_error` what a task raised.
        """
        deadline = Deadline(timeout)
        at_call = list(self) if raise_error else []
        if _core.getcurrent() in self._members:
            raise RuntimeError("a task cannot join the group it is in")
        emptied = self._wait_until_empty(deadline)
        error = first_error(at_call)
        if error is None:
            return emptied
        try:
            raise error
        finally:
            del at_call, error  # in no cycle with the traceback

    def _wait_until_empty(self, deadline: Deadline) -> bool:
        discarded: _core.Mailbox[None] = _core.Mailbox()
        self._joiners[discarded] = None
        try:
            while True:
                pending = []
                for task in self:
                    if is_ready(task):
                        self.discard(task)  # its link has not run yet
                    else:
                        pending.append(task)
                linkable = [task for task in pending if hasattr(task, "rawlink")]
                if linkable:
                    if len(wait(linkable, deadline.remaining())) < len(linkable):
                        break
                elif not pending or not discarded.wait(1, deadline.remaining()):
                    break
                else:
                    discarded.get(0)
        finally:
            del self._joiners[discarded]
        return not pending

    def full(self) -> bool:
        """False: a group has no size."""
        return False

    def free_count(self) -> int:
        """1, as for a pool without a size."""
        return 1

    def wait_available(self, timeout: float | None = None) -> int:
        """1, at once: a group has no size."""
        check_timeout(timeout)
        return self.free_count()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} tasks={len(self)} at {id(self):#x}>"
