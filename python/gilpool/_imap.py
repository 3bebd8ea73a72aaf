"""Results one by one while the input is still being read: what imap and imap_unordered return.

A feeder, a task of its own, advances the input and starts a task for each item; the reader takes
what arrives in a mailbox. The feeder waits for a slot of the pool and, because unread results are
bounded, for the reader. It ends with the input, or when the iterator is closed or dropped.

Any thread may read. The mailbox and each dict operation are atomic; nothing here needs a lock.
"""

import operator
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

from gilpool import _core, _forks
from gilpool._core import Task, TaskExit
from gilpool._helpers import Admit
from gilpool._uncopied import Uncopied

_T = TypeVar("_T")

MOST_UNREAD: Final = 16_384
"""Tasks that are running or unread at once unless `maxsize` says otherwise: enough for whatever a
machine can keep blocked, and an end to what an endless input would pile up."""

# Feeders are daemons: nobody may be left who reads. Those of the main thread, which reads no more
# when the interpreter exits, are stopped as soon as it does.
_feeders: Final = _core.Pool(name="imap", context="copy", daemon=True)
_main_feeders: Final = _core.Pool(name="imap", context="copy", daemon=True)


_exit_has_begun: Final[list[bool]] = []


def stop_main_feeders() -> None:
    """Let no input that the main thread opened be read on; called when the interpreter exits."""
    _exit_has_begun.append(True)
    _main_feeders._cancel_queued()
    _main_feeders._stop_running()


class _InputError:
    """Stands in the mailbox where the input raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _End:
    """Is in the mailbox after everything else; every reader that finds it puts it back."""


_END: Final = _End()


class _Feed(Generic[_T]):
    """What feeder and reader share. Knows nothing of the iterator, so that that can be dropped."""

    def __init__(
        self,
        admit: Admit,
        function: Callable[..., _T],
        inputs: Iterator[tuple[Any, ...]],
        most_unread: int | None,
        ordered: bool,
    ) -> None:
        self.arrived: _core.Mailbox[Task[_T] | _InputError | _End] = _core.Mailbox()
        self.unread: dict[object, None] = {}
        self.ended = False
        self.closed = False
        self.killed = False
        self._admit = admit
        self._function = function
        self._inputs = inputs
        self._ordered = ordered
        self._room = most_unread
        self._permits: _core.Mailbox[None] | None = None
        if most_unread is not None:
            self._permits = _core.Mailbox()

    def run(self) -> None:
        """Start a task for every input; on the feeder."""
        try:
            while not (self.closed or self.killed):
                self._wait_for_room()
                try:
                    arguments = next(self._inputs)
                except StopIteration:
                    return
                self._start(Task(self._function, *arguments))
        finally:
            # The input may hold files and sockets, and the feed lives as long as the last result.
            del self._inputs, self._function

    def _wait_for_room(self) -> None:
        if self._permits is None:
            return
        # What readers gave back first: else it would pile up for as long as there is room.
        if self._room and not len(self._permits):
            self._room -= 1
        else:
            self._permits.get()

    def _start(self, task: Task[_T]) -> None:
        if self.killed:  # the exception may have been lost in what the collector called just now
            raise TaskExit
        self.unread[task] = None
        try:
            if not self._ordered:
                task.rawlink(self.arrived.put)
            self._admit(task)
        except BaseException:
            self.unread.pop(task, None)
            raise
        if self._ordered:
            self.arrived.put(task)

    def end(self, feeder: Task[object]) -> None:
        """Tell the readers that nothing more is started; the link of the feeder."""
        error: BaseException | None = feeder.exception
        if error is None and self.killed and not self.closed:
            error = RuntimeError("the input is not read on: the pool or group was killed")
        elif error is None and isinstance(feeder.value, TaskExit) and not self.closed:
            error = feeder.value  # the input's own
            if _exit_has_begun:
                error = RuntimeError("the input is not read on: the interpreter is shutting down")
        if error is not None:
            failure = _InputError(error)
            self.unread[failure] = None
            self.arrived.put(failure)
        self.ended = True
        self.arrived.put(_END)

    def begin_anew(self, feeder: Task[object]) -> None:
        """In a forked child: let what will not arrive any more arrive, as the failure that it is.

        The feeder goes on if it is the very task that forked.
        """
        arrived = [self.arrived.get(0) for _ in range(len(self.arrived))]
        for one in [*arrived, *self._lost(set(arrived))]:
            self.arrived.put(one)
        if self.ended:
            self.arrived.put(_END)  # a reader may have had it in the hand
        elif feeder.ready():
            self.end(feeder)

    def _lost(self, arrived: set[object]) -> list[Task[_T]]:
        """Takes those out that have not been started: the feeder was waiting for their slot."""
        lost = []
        for task in list(self.unread):
            if task in arrived:
                continue
            if not isinstance(task, Task) or not task.started:
                del self.unread[task]
            elif self._ordered or task.ready():
                lost.append(task)
        return lost

    def has_read(self, one: object) -> None:
        """Count one result as read, which makes room for another."""
        self.unread.pop(one, None)
        if self._permits is not None:
            self._permits.put(None)
        if self.ended and not self.unread:
            self.arrived.put(_END)


class IMap(Uncopied, Iterator[_T]):
    """The results of a function, as an iterator; made by ``imap`` and ``imap_unordered``.

    Each ``next`` returns one result or raises what its call raised, after which the iteration may
    go on. An exception of the input is raised at its place and ends it. Closing or dropping the
    iterator stops the reading of the input; calls that have been started run to their end.

    Thread safety: any thread may call ``next``; each result goes to one of them.
    GIL: released while waiting; Ctrl-C ends the wait in the main thread, and one can go on later.
    """

    def __init__(self, feed: _Feed[_T]) -> None:
        self._feed = feed
        self._feeder = Task(feed.run)
        self._feeder.rawlink(feed.end)
        in_main = threading.get_ident() == threading.main_thread().ident
        (_main_feeders if in_main else _feeders)._start(self._feeder, None)
        _forks.see_to(self)

    def _begin_anew(self) -> None:
        self._feed.begin_anew(self._feeder)

    def __next__(self) -> _T:
        feed = self._feed
        while True:
            one = feed.arrived.get()
            if isinstance(one, _End):
                if feed.unread:
                    continue  # whoever reads the last result puts the end there again
                feed.arrived.put(one)
                raise StopIteration
            if not isinstance(one, _InputError):
                try:
                    one.join()
                except BaseException:
                    feed.arrived.put_back(one)
                    raise
            feed.has_read(one)
            try:
                if isinstance(one, _InputError):
                    raise one.error
                return one.get()
            except StopIteration as error:
                raise RuntimeError("the function raised StopIteration") from error
            finally:
                # What is raised holds this frame, which must not hold the iterator: dropped, it
                # would go on reading until the collector came.
                del self, feed, one

    def close(self) -> None:
        """Stop reading the input. What has been started can still be read. May be called again."""
        self._feed.closed = True
        if not self._feeder.ready() and self._feeder is not _core.getcurrent():
            self._feeder.kill(block=False)

    def _stop(self) -> list[Task[Any]]:
        """End the reading of the input, with an error for whoever reads that far.

        Returns what has been killed for it now.
        """
        if self._feed.killed or self._feeder.ready() or self._feeder is _core.getcurrent():
            return []
        self._feed.killed = True
        self._feeder.kill(block=False)
        return [self._feeder]

    def __del__(self) -> None:
        if hasattr(self, "_feeder"):
            self.close()

    def __repr__(self) -> str:
        feed = self._feed
        state = "closed" if feed.closed else "ended" if feed.ended else "open"
        name = type(self).__name__
        return f"<{name} input={state} unread={len(feed.unread)} at {id(self):#x}>"


def imap(
    admit: Admit,
    function: Callable[..., _T],
    iterables: tuple[Iterable[Any], ...],
    maxsize: int | None,
    *,
    ordered: bool,
) -> IMap[_T]:
    """Start reading the input and return the iterator over the results.

    Raises: TypeError for what cannot be called, iterated or counted; ValueError for a negative
    `maxsize`.
    """
    if not callable(function):
        raise TypeError(f"function must be callable, not {type(function).__name__}")
    if not iterables:
        raise TypeError("imap needs at least one iterable")
    most_unread: int | None = MOST_UNREAD
    if maxsize is not None:
        try:
            most_unread = operator.index(maxsize) or None
        except TypeError:
            raise TypeError(
                f"maxsize must be an int or None, not {type(maxsize).__name__}"
            ) from None
        if maxsize < 0:
            raise ValueError("maxsize must not be negative")
    inputs = zip(*iterables, strict=False)
    return IMap(_Feed(admit, function, inputs, most_unread, ordered))
