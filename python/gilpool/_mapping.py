"""Calling a function with many arguments: apply, map, imap and their variants.

Any thread may call these. What waits releases the GIL and, in a task, lends its slot: mapping from
within a task of the same pool works whatever the pool's size.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, ParamSpec, TypeVar

from gilpool import _core
from gilpool._core import Task, TaskExit
from gilpool._helpers import Backlog, helpers, map_is_over, maps_under_way
from gilpool._imap import IMap, imap

_T = TypeVar("_T")
_A = TypeVar("_A")
_P = ParamSpec("_P")


def _check_callback(callback: object) -> None:
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable or None, not {type(callback).__name__}")


def _while_under_way(helper: Task[Any], iterable: Iterable[_A]) -> Iterable[_A]:
    # What has a length ends by itself, and is called faster as what it is.
    return iterable if isinstance(iterable, Sized) else _read_under_way(helper, iterable)


def _read_under_way(helper: Task[Any], iterable: Iterable[_A]) -> Iterator[_A]:
    for item in iterable:
        if helper not in maps_under_way:
            raise TaskExit
        yield item


class MappingMixin:
    """Mix-in for what spawns: needs spawn, spawn_many, _admit, and to know what daemon says."""

    @property
    def daemon(self) -> bool:
        """Whether the interpreter's exit abandons the tasks instead of running them."""
        raise NotImplementedError

    _backlog: Backlog

    def spawn(self, function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Task[_T]:
        """Call function(*args, **kwargs) on a native thread; return its Task."""
        raise NotImplementedError

    def spawn_many(self, function: Callable[[_A], _T], iterable: Iterable[_A], /) -> list[Task[_T]]:
        """Spawn function(item) for each item; return the list of Tasks."""
        raise NotImplementedError

    def _admit(self, task: Task[Any], timeout: float | None = None, /) -> bool:
        """Start a fresh task once there is a slot; False if there was none in time."""
        raise NotImplementedError

    def _feed(self, results: IMap[_T]) -> IMap[_T]:
        """Remember what goes on to start tasks here."""
        raise NotImplementedError

    def _map(self, function: Callable[[_A], _T], iterable: Iterable[_A], /) -> list[_T]:
        """Return the results of function(item) in order; raise the first error in that order."""
        return _core._gather(self.spawn_many(function, iterable))

    def apply(
        self,
        function: Callable[..., _T],
        args: Iterable[Any] | None = None,
        kwds: Mapping[str, Any] | None = None,
    ) -> _T:
        """Call function(*args, **kwds) on another thread and return what it returns.

        Thread safety: any thread, tasks of the same pool included. GIL: released while waiting.
        Raises: what the call raises.

            >>> import gilpool
            >>> gilpool.Pool(1).apply(pow, (2, 10))
            1024
        """
        return self.spawn(function, *(args or ()), **(kwds or {})).get()

    def apply_cb(
        self,
        function: Callable[..., _T],
        args: Iterable[Any] | None = None,
        kwds: Mapping[str, Any] | None = None,
        callback: Callable[[_T], object] | None = None,
    ) -> _T:
        """Like ``apply``; if the call succeeds, its result is also passed to `callback`.

        The callback is a task by itself, on no pool of the user's; this does not wait for it.

        Thread safety: any thread. GIL: released while waiting.
        Raises: what the call raises.

            >>> import gilpool
            >>> seen = []
            >>> gilpool.Pool().apply_cb(pow, (2, 10), callback=seen.append)
            1024
        """
        _check_callback(callback)
        result = self.apply(function, args, kwds)
        if callback is not None:
            helpers[self.daemon].spawn(callback, result)
        return result

    def apply_async(
        self,
        function: Callable[..., _T],
        args: Iterable[Any] | None = None,
        kwds: Mapping[str, Any] | None = None,
        callback: Callable[[_T], object] | None = None,
    ) -> Task[_T]:
        """Like ``spawn``, but never waits: without a free slot the task is started later.

        Until then the pool does not track it; such tasks start in the order of the calls. If the
        call succeeds, `callback` gets its result, on the worker. One that waits for a pool of size
        0 is cancelled by the interpreter's exit, once nobody is left who could give it a size.

        Thread safety: any thread. GIL: held.
        Raises: TypeError when `function` or `callback` is not callable.

            >>> import gilpool
            >>> pool = gilpool.Pool(1)
            >>> tasks = [pool.apply_async(pow, (2, n)) for n in range(3)]
            >>> [task.get() for task in tasks]
            [1, 2, 4]
        """
        _check_callback(callback)
        task = Task(function, *(args or ()), **(kwds or {}))
        if callback is not None:
            pass_result = callback
            task.link_value(lambda done: pass_result(done.get()))
        # Who comes while others wait gets in line, whatever is free by now.
        if self._backlog or not self._admit(task, 0):
            self._backlog.append(task, self._admit, self.daemon)
        return task

    def map(self, function: Callable[[_A], _T], iterable: Iterable[_A]) -> list[_T]:
        """Return [function(item) for item in iterable], with the calls made by the pool.

        The results are in the order of the items. If calls fail, the first error in that order is
        raised; the other calls go on. An exception of the iterable is raised when it comes; what
        has been read by then is called all the same. An iterator is read as the pool has slots and,
        while calls are short, ahead of them: as many items as it calls in a millisecond, 128 at
        most.

        Thread safety: any thread, tasks of the same pool included. GIL: released while waiting.

            >>> import gilpool
            >>> gilpool.Pool().map(abs, [-1, 2, -3])
            [1, 2, 3]
        """
        return self._map(function, iterable)

    def map_cb(
        self,
        function: Callable[[_A], _T],
        iterable: Iterable[_A],
        callback: Callable[[list[_T]], object] | None = None,
    ) -> list[_T]:
        """Like ``map``; if all calls succeed, the list is also passed to `callback`, by the caller.

        Thread safety: any thread. GIL: released while waiting.

            >>> import gilpool
            >>> gilpool.Pool().map_cb(abs, [-1, 2], print)
            [1, 2]
            [1, 2]
        """
        _check_callback(callback)
        results = self.map(function, iterable)
        if callback is not None:
            callback(results)
        return results

    def map_async(
        self,
        function: Callable[[_A], _T],
        iterable: Iterable[_A],
        callback: Callable[[list[_T]], object] | None = None,
    ) -> Task[list[_T]]:
        """Like ``map_cb``, in a task that the pool does not track; return that task.

        The iterable is read, and the callback called, on the task's thread.

        Thread safety: any thread. GIL: held.

            >>> import gilpool
            >>> gilpool.Pool().map_async(abs, [-1, 2]).get()
            [1, 2]
        """
        _check_callback(callback)
        helper = Task(self._map_on_helper, function, iterable, callback)
        maps_under_way[helper] = self
        helper.rawlink(map_is_over)
        try:
            helpers[self.daemon]._start(helper, None)
        except BaseException:
            map_is_over(helper)
            raise
        return helper

    def _map_on_helper(
        self,
        function: Callable[[_A], _T],
        iterable: Iterable[_A],
        callback: Callable[[list[_T]], object] | None,
    ) -> list[_T]:
        helper = _core.getcurrent()
        assert helper is not None
        results = self.map(function, _while_under_way(helper, iterable))
        map_is_over(helper)
        if callback is not None:
            callback(results)
        return results

    def imap(
        self, function: Callable[..., _T], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> IMap[_T]:
        """Like ``map``, but return an iterator over the results, in the order of the items.

        With several iterables the function is called with an item of each, until the shortest ends.
        Calls are made from now on, whether results are asked for or not. The input is read, on
        another thread, only as far as the pool has slots: a pool of size n never has more than n
        calls going, and one item in the hand.

        Args:
            function: What to call.
            iterables: The arguments.
            maxsize: Most calls that are going or whose results have not been read; 0: no limit;
                None: 16,384.

        Each ``next`` raises what its call raised, and the iteration can go on. An exception of the
        input is raised at its place and ends it. Dropping the iterator stops reading the input.

        Thread safety: any thread, tasks of the same pool included. GIL: released while waiting.
        Raises: TypeError or ValueError for bad arguments.

            >>> import gilpool
            >>> list(gilpool.Pool(2).imap(pow, [2, 3, 4], [5, 6, 7]))
            [32, 729, 16384]
        """
        return self._feed(imap(self._admit, function, iterables, maxsize, ordered=True))

    def imap_unordered(
        self, function: Callable[..., _T], *iterables: Iterable[Any], maxsize: int | None = None
    ) -> IMap[_T]:
        """Like ``imap``, with the results in the order in which the calls end.

        Thread safety: any thread, tasks of the same pool included. GIL: released while waiting.
        Raises: TypeError or ValueError for bad arguments.

            >>> import gilpool
            >>> sorted(gilpool.Pool(2).imap_unordered(abs, [-1, 2, -3]))
            [1, 2, 3]
        """
        return self._feed(imap(self._admit, function, iterables, maxsize, ordered=False))
