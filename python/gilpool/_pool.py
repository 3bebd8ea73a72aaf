"""Pool: gevent's words on native threads, and the default pool behind gilpool.spawn."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, ParamSpec, TypeVar

from gilpool import _core, _forks
from gilpool._collective import Collective, first_error
from gilpool._core import Task
from gilpool._errors import PoolFull
from gilpool._helpers import Backlog
from gilpool._living import Living
from gilpool._mapping import MappingMixin
from gilpool._members import Members, remove, track, untrack

_T = TypeVar("_T")
_P = ParamSpec("_P")


every_pool: "Final[Living[Pool]]" = Living()
"""All pools that there are, but for gilpool's own."""


# What the native pool has wins over the mix-ins' declarations of the same.
class Pool(_core.Pool, Collective, MappingMixin):
    """Runs Python calls on native threads.

    A pool is accounting over threads that the process shares: making one starts nothing, and a
    thread appears when there is work for it. Calls that block in C code which releases the GIL
    overlap; short calls are run back to back by few threads. The threads' stacks are of the
    platform's usual size (``ulimit -s``), whatever ``threading.stack_size`` says.

    Args:
        size: Most tasks at once, queued or running; `spawn` waits when there are as many. A task
            that waits in gilpool's own functions does not count meanwhile, so a pool never waits
            for itself, and goes on when its wait is over though another has its slot by then: tasks
            that wait may so become more than `size`. None: no limit of the pool's own. May be set
            later, too.
        name: For people: shown in the repr.
        initializer: Called with `initargs` once on each thread before its first task. A pool with
            one has threads of its own, at most as many as it has slots (and one for each task that
            waits and so lends its slot), named ``name_0``, ``name_1`` and so on. They run nothing
            else, and keep what the initializer gave them until the pool goes; only a fork ends
            those that are idle sooner. If it raises, so does the task, the others of the pool fail
            with RuntimeError, and nothing can be spawned any more.
        initargs: Arguments of the initializer.
        context: ``"fresh"``: every task starts with its context variables unset; ``"copy"``: with
            a copy of those of its spawner.
        daemon: Whether the interpreter's exit cancels and abandons the tasks instead of running
            them to their end. May be set later, too.

    As a context manager it joins when left normally. Left by an exception, Ctrl-C during that join
    included, it cancels what is queued, asks what runs to end (see ``Task.kill``), waits up to 5 s
    for it, and then warns (RuntimeWarning) with the names of what is stuck.

    A pool is always true. ``len`` counts its tasks, queued and running; ``in`` and iteration see
    the same ones.

    Thread safety: every method may be called from any thread.
    GIL: `spawn` keeps it unless it has to wait; what waits releases it.
    Raises: ValueError or TypeError for bad arguments.

        >>> import gilpool
        >>> with gilpool.Pool() as pool:
        ...     task = pool.spawn(pow, 2, 10)
        >>> task.get()
        1024
    """

    def __init__(
        self,
        size: int | None = None,
        *,
        name: str | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        context: str = "fresh",
        daemon: bool = False,
    ) -> None:
        super().__init__(
            size,
            name=name,
            initializer=initializer,
            initargs=initargs,
            context=context,
            daemon=daemon,
        )
        self._guests: Members = {}
        self._backlog = Backlog()
        every_pool.add(self)
        _forks.see_to(self)

    def _begin_anew(self) -> None:
        self._guests.clear()  # their slots are free already
        self._backlog.begin_anew()

    def _admit(self, task: Task[Any], timeout: float | None = None, /) -> bool:
        return self._start(task, timeout)

    def start(self, task: Task[Any], blocking: bool = True, timeout: float | None = None) -> None:
        """Track and start a task that has been made but not started.

        One that has been added before starts in the slot it has; one that was started elsewhere is
        only tracked.

        Args:
            task: The task.
            blocking: Whether to wait for a slot.
            timeout: Seconds to wait for one at most.

        Thread safety: any thread. GIL: released while waiting.
        Raises: PoolFull when there is no slot, at once or in time; TypeError for what is no task.

            >>> import gilpool
            >>> task = gilpool.Task(pow, 2, 10)
            >>> gilpool.Pool(1).start(task)
            >>> task.get()
            1024
        """
        if not hasattr(task, "started"):
            raise TypeError(f"task must be a Task, not {type(task).__name__}")
        if task in self._guests:
            task.start()
        elif task.started:
            self.add(task, blocking, timeout)
        elif not self._start(task, timeout if blocking else 0):
            raise PoolFull(f"{self!r} has no free slot")

    def add(self, task: Any, blocking: bool = True, timeout: float | None = None) -> None:
        """Track a task that runs, or will run, elsewhere: it takes a slot here until it is done.

        A task that is done, or tracked already, changes nothing. Whatever has gevent's ``rawlink``
        will do for a task; what has not keeps its slot until it is discarded. The interpreter's
        exit waits for tasks where they run, and not for those that are only added.

        Args:
            task: The task.
            blocking: Whether to wait for a slot.
            timeout: Seconds to wait for one at most.

        Thread safety: any thread. GIL: released while waiting.
        Raises: PoolFull when there is no slot, at once or in time.

            >>> import gilpool
            >>> pool = gilpool.Pool(1)
            >>> task = gilpool.Task(pow, 2, 10)
            >>> pool.add(task)
            >>> pool.full(), task in pool
            (True, True)
            >>> task.start()
            >>> pool.join()
            True
        """
        if task in self or (isinstance(task, Task) and task.ready()):
            return
        if not self._take_slot(timeout if blocking else 0):
            raise PoolFull(f"{self!r} has no free slot")
        tracked = False
        try:
            tracked = track(self._guests, task, self._guest_ended)
        finally:
            if not tracked and not remove(self._guests, task):
                self._return_slot()

    def _guest_ended(self, task: Any) -> None:
        if remove(self._guests, task):
            self._return_slot()

    def discard(self, task: Any) -> None:
        """Stop tracking a task; it goes on, and its slot is free. Nothing if it is not tracked.

        Of a pool with an initializer, a task that has not begun stays tracked: it needs one of the
        pool's own threads.

        Thread safety: any thread. GIL: held.

            >>> import gilpool
            >>> pool = gilpool.Pool(1)
            >>> task = pool.spawn(gilpool.sleep, 0.01)
            >>> pool.discard(task)
            >>> pool.full()
            False
            >>> task.join()
        """
        if not self._discard(task) and untrack(self._guests, task, self._guest_ended):
            self._return_slot()

    def __contains__(self, task: object) -> bool:
        return super().__contains__(task) or task in self._guests

    def __iter__(self) -> Iterator[Task[Any]]:
        return iter([*self._tasks(), *self._guests])

    def join(self, timeout: float | None = None, raise_error: bool = False) -> bool:
        """Wait until the pool has no task any more.

        Args:
            timeout: Seconds to wait at most.
            raise_error: Whether to raise, afterwards, the exception of a task that was in the pool
                when this was called. One that had failed by then is in it no more: to hear of every
                error, keep the tasks and ``joinall`` them.

        Returns:
            True if the pool was empty at least once, False if the time was over before. What
            ``apply_async`` and ``map_async`` have yet to start is not in the pool.

        Thread safety: any thread. GIL: released while waiting; Ctrl-C ends the wait in the main
        thread.
        Raises: RuntimeError in a task of this pool; with `raise_error` what a task raised.

            >>> import gilpool
            >>> pool = gilpool.Pool()
            >>> task = pool.spawn(gilpool.sleep, 0.01)
            >>> pool.join(timeout=0), pool.join()
            (False, True)
        """
        if _core.getcurrent() in self._guests:
            raise RuntimeError("a task cannot join a pool that it takes a slot of")
        members = list(self) if raise_error else []
        emptied = super().join(timeout)
        error = first_error(members)
        if error is None:
            return emptied
        try:
            raise error
        finally:
            del members, error  # in no cycle with the traceback

    def wait_available(self, timeout: float | None = None) -> int:
        """Wait until a slot is free; return how many are, which may be none again by now.

        Thread safety: any thread. GIL: released while waiting; Ctrl-C ends the wait in the main
        thread.

            >>> import gilpool
            >>> gilpool.Pool(3).wait_available()
            3
        """
        if self._take_slot(timeout):
            self._return_slot()
        return self.free_count()


default_pool: Final = Pool(name="default")
"""The pool behind `gilpool.spawn`; without a size."""

_core._set_default_pool(default_pool)

spawn = default_pool.spawn


def spawn_later(
    seconds: float, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs
) -> Task[_T]:
    """Call function(*args, **kwargs) on the default pool, `seconds` from now; return its Task.

    No thread waits meanwhile. Killed before its time, the task never runs. The interpreter's exit
    cancels what is not due yet.

    Thread safety: any thread. GIL: held.
    Raises: TypeError or ValueError for what is no length of time or cannot be called.

        >>> import gilpool
        >>> gilpool.spawn_later(0.001, pow, 2, 10).get()
        1024
    """
    task = Task(function, *args, **kwargs)
    default_pool._start_later(task, seconds)
    return task
