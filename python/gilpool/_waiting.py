"""Waiting for many tasks at once, and ending them: wait, iwait, joinall, killall.

Any thread may call these; the GIL is released while they wait. A task that waits here lends its
slot, so that a pool never waits for itself. Everything arrives through the links of the tasks in
one native mailbox: nothing polls.
"""

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar, overload

from gilpool import _core, _forks
from gilpool._core import Task, TaskExit, WaitTimeout
from gilpool._deadline import Deadline, check_timeout
from gilpool._uncopied import Uncopied

_T = TypeVar("_T")
_Self = TypeVar("_Self", bound="iwait[Any]")


class Linkable(Protocol):
    """What can be waited for: it calls a callback with itself once it is done."""

    def rawlink(self, callback: Callable[[Any], object], /) -> object:
        """Have callback(self) called when done; soon, if done already."""


_L = TypeVar("_L", bound=Linkable)

KillWith = type[BaseException] | BaseException
"""What a task can be killed with."""


def is_ready(task: object) -> bool:
    """Whether a task, or what is used like one, says that it is done."""
    ready = getattr(task, "ready", None)
    return ready is not None and bool(ready())


def _check_not_current(objects: Sequence[object]) -> None:
    current = _core.getcurrent()
    if current is not None and any(one is current for one in objects):
        raise RuntimeError("a task cannot wait for itself")


def _wanted(count: int | None, objects: Sequence[object]) -> int:
    if count is None:
        return len(objects)
    try:
        most = operator.index(count)
    except TypeError:
        raise TypeError(f"count must be an int or None, not {type(count).__name__}") from None
    if most < 0:
        raise ValueError("count must not be negative")
    return min(most, len(objects))


class _Arrivals(Generic[_L]):
    """Objects linked to one mailbox, in which they arrive in the order in which they end.

    As a context manager: links on entry, unlinks on leaving.
    """

    def __init__(self, objects: Iterable[_L]) -> None:
        self.objects = list(objects)
        self.mailbox: _core.Mailbox[_L] = _core.Mailbox()
        self._linked: list[_L] = []
        self._taken: list[int] = []
        _check_not_current(self.objects)

    def __enter__(self) -> "_core.Mailbox[_L]":
        put = self.mailbox.put
        _forks.see_to(self)
        try:
            for one in self.objects:
                # Done already: a link would cost a worker's time to say what is known.
                if is_ready(one):
                    put(one)
                    continue
                rawlink = getattr(one, "rawlink", None)
                if rawlink is None:
                    raise TypeError(
                        f"only tasks and what has a rawlink can be waited for, "
                        f"not {type(one).__name__}"
                    )
                rawlink(put)
                self._linked.append(one)
        except BaseException:
            self.unlink()
            raise
        return self.mailbox

    def __exit__(self, *_: object) -> None:
        self.unlink()

    def take(self, timeout: float | None) -> _L:
        """Return the next one that ends; WaitTimeout if none does in time."""
        one = self.mailbox.get(timeout)
        self._taken.append(id(one))
        return one

    def _begin_anew(self) -> None:
        # The parent's tasks have failed here, but their links are not called.
        arrived = Counter(self._taken)
        for _ in range(len(self.mailbox)):
            one = self.mailbox.get(0)
            arrived[id(one)] += 1
            self.mailbox.put(one)
        for one in self.objects:
            if arrived[id(one)]:
                arrived[id(one)] -= 1
            elif is_ready(one):
                self.mailbox.put(one)

    def unlink(self) -> None:
        """Take back every link; those whose objects have ended are gone already."""
        while self._linked:
            unlink = getattr(self._linked.pop(), "unlink", None)
            if unlink is not None:
                unlink(self.mailbox.put)


@overload
def wait(objects: None = None, timeout: float | None = None, count: int | None = None) -> bool: ...


@overload
def wait(
    objects: Iterable[_L], timeout: float | None = None, count: int | None = None
) -> list[_L]: ...


def wait(
    objects: Iterable[_L] | None = None, timeout: float | None = None, count: int | None = None
) -> list[_L] | bool:
    """Wait until tasks are done.

    Args:
        objects: Tasks, or whatever has ``rawlink``; duplicates count. None: all tasks of all pools.
        timeout: Seconds; when over, what is done by then is returned.
        count: How many of them to wait for; None: all.

    Returns:
        Those that are done, at most `count`, in the order in which they ended. Without `objects`
        whether every pool was empty in time.

    Never raises what a task raised.

    Thread safety: any thread. GIL: released while waiting; Ctrl-C ends the wait in the main thread.
    Raises: RuntimeError when a task waits for itself. TypeError or ValueError for bad arguments.

        >>> import gilpool
        >>> tasks = [gilpool.spawn(pow, 2, n) for n in range(3)]
        >>> sorted(task.value for task in gilpool.wait(tasks))
        [1, 2, 4]
    """
    if objects is None:
        _wanted(count, ())
        return _core._join_all(timeout)
    check_timeout(timeout)
    arrivals = _Arrivals(objects)
    wanted = _wanted(count, arrivals.objects)
    with arrivals as mailbox:
        mailbox.wait(wanted, timeout)
    return [mailbox.get(0) for _ in range(min(wanted, len(mailbox)))]


class iwait(Uncopied, Iterator[_L]):  # noqa: N801 - reads as the function it is in gevent
    """Iterate over tasks in the order in which they end.

    The links are made when the first one is asked for, and taken back when the iteration ends, the
    ``with`` block it is used in is left, or the iterator is dropped.

    Args:
        objects: Tasks, or whatever has ``rawlink``; duplicates count.
        timeout: Seconds from the first ``next``; when over, the iteration ends silently.
        count: How many of them to wait for; None: all.

    Thread safety: any thread. GIL: released while waiting; Ctrl-C ends the wait in the main thread.
    Raises: RuntimeError when a task waits for itself. TypeError or ValueError for bad arguments.

        >>> import gilpool
        >>> tasks = [gilpool.spawn(gilpool.sleep, seconds) for seconds in (0.2, 0.001)]
        >>> with gilpool.iwait(tasks) as ended:
        ...     tasks.index(next(ended))
        1
    """

    def __init__(
        self, objects: Iterable[_L], timeout: float | None = None, count: int | None = None
    ) -> None:
        check_timeout(timeout)
        self._arrivals = _Arrivals(objects)
        self._left = _wanted(count, self._arrivals.objects)
        self._timeout = timeout
        self._deadline: Deadline | None = None

    def __next__(self) -> _L:
        if self._left <= 0:
            self.close()
            raise StopIteration
        if self._deadline is None:
            self._arrivals.__enter__()
            self._deadline = Deadline(self._timeout)
        try:
            one = self._arrivals.take(self._deadline.remaining())
        except WaitTimeout:
            self.close()
            raise StopIteration from None
        self._left -= 1
        return one

    def close(self) -> None:
        """End the iteration and take back the links. May be called again."""
        self._left = 0
        self._arrivals.unlink()

    def __repr__(self) -> str:
        of = len(self._arrivals.objects)
        return f"<{type(self).__name__} left={max(0, self._left)} of={of} at {id(self):#x}>"

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_arrivals"):
            self._arrivals.unlink()


def error_of(task: object) -> BaseException | None:
    """What a done task raised; from now on it counts as seen."""
    error: BaseException | None = getattr(task, "exception", None)
    return error


def _wait_for_error(
    tasks: Iterable[_L], timeout: float | None, count: int | None
) -> tuple[list[_L], BaseException | None]:
    """Wait for all, or for the first that fails; those that are done, and what that one raised."""
    done = []
    with iwait(tasks, timeout, count) as ended:
        for task in ended:
            done.append(task)
            error = error_of(task)
            if error is not None:
                return done, error
    return done, None


def joinall(
    tasks: Iterable[_L],
    timeout: float | None = None,
    raise_error: bool = False,
    count: int | None = None,
) -> list[_L]:
    """Wait until tasks are done; the same as ``wait``, and with `raise_error` raise.

    Args:
        tasks: Tasks, or whatever has ``rawlink``; duplicates count.
        timeout: Seconds; when over, what is done by then is returned.
        raise_error: Whether to raise the exception of the first one that ends with an exception,
            without waiting for the others.
        count: How many of them to wait for; None: all.

    Returns:
        Those that are done, in the order in which they ended.

    Thread safety: any thread. GIL: released while waiting; Ctrl-C ends the wait in the main thread.
    Raises: RuntimeError when a task waits for itself; with `raise_error` what a task raised.

        >>> import gilpool
        >>> tasks = [gilpool.spawn(gilpool.sleep, 0.001) for _ in range(3)]
        >>> len(gilpool.joinall(tasks))
        3
    """
    if not raise_error:
        return wait(tasks, timeout, count)
    done, error = _wait_for_error(tasks, timeout, count)
    if error is None:
        return done
    try:
        raise error
    finally:
        del tasks, done, error  # in no cycle with the traceback


def check_killable(task: object) -> None:
    """Raise TypeError for what is no task."""
    if not hasattr(task, "kill"):
        raise TypeError(f"only tasks can be killed, not {type(task).__name__}")


def killall(
    tasks: Iterable[Task[Any]],
    exception: KillWith = TaskExit,
    block: bool = True,
    timeout: float | None = None,
) -> None:
    """Kill tasks and wait until they have ended.

    Those that have not begun never run. What ``Task.kill`` says about running ones holds here: they
    may catch the exception, and foreign C code is not interrupted. A task that is among `tasks`
    itself gets the exception last, raised by this call.

    Args:
        tasks: The tasks; those that are done already do not mind.
        exception: Type or instance to raise in them.
        block: Whether to wait until they have ended.
        timeout: Seconds to wait at most.

    Thread safety: any thread. GIL: released while waiting; Ctrl-C ends the wait in the main thread.
    Raises: WaitTimeout when some have not ended in time; TypeError for a bad `exception`, and for
    what is no task, before any is killed.

        >>> import gilpool
        >>> tasks = [gilpool.spawn(gilpool.sleep, 1000) for _ in range(3)]
        >>> gilpool.killall(tasks)
        >>> all(task.dead for task in tasks)
        True
    """
    check_timeout(timeout)
    everyone = list(tasks)
    begun = _core._cancel_tasks(everyone, exception)
    current = _core.getcurrent()
    others = [task for task in everyone if task is not current]
    for task in begun:
        if task is not current:
            task.kill(exception, block=False)
    if block:
        late = len(others) - len(wait(others, timeout))
        if late:
            raise WaitTimeout(f"{late} of {len(others)} killed tasks have not ended yet")
    if current is not None and len(others) < len(everyone):
        current.kill(exception)
