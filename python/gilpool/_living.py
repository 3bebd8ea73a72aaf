"""Objects, by identity, for as long as they live.

No WeakSet: its callbacks would run in whatever task drops one of the objects, and an exception that
this task is killed with, raised there, would be lost. What is gone is swept out now and then.
"""

import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Living(Generic[_T]):
    """A set that keeps nothing alive but what cannot be referred to weakly (an int, say).

    Thread safety: any thread; the operations of the dict are atomic.
    """

    def __init__(self) -> None:
        # Each reference in a list of its own, which tells who put it there: two weak references to
        # one object are the same object.
        self._references: dict[int, list[Callable[[], _T | None]]] = {}
        self._swept_above = 64

    def add(self, one: _T) -> bool:
        """Put `one` in; False if it was there already."""
        mark = [_reference_to(one)]
        known = self._references.setdefault(id(one), mark)
        if known is not mark and known[0]() is not one:
            self._references[id(one)] = known = mark  # that one is gone; this one has its place
        if len(self._references) > self._swept_above:
            self._sweep()
        return known is mark

    def __iter__(self) -> Iterator[_T]:
        found = [known[0]() for known in list(self._references.values())]
        return iter([one for one in found if one is not None])

    def _sweep(self) -> None:
        for place, known in list(self._references.items()):
            if known[0]() is None:
                taken = self._references.pop(place, None)
                if taken is not None and taken[0]() is not None:  # has come into its place
                    self._references.setdefault(place, taken)
        self._swept_above = 64 + 2 * len(self._references)


def _reference_to(one: _T) -> Callable[[], _T | None]:
    try:
        return weakref.ref(one)
    except TypeError:
        return functools.partial(_itself, one)


def _itself(one: _T) -> _T:
    return one
