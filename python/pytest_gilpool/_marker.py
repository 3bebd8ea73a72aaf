"""The marker `releases_gil`: the body of the marked test is the call that must release the GIL."""

from __future__ import annotations

import functools
import inspect
import unittest
from collections.abc import Callable

import pytest

NAME = "releases_gil"
LINE = (
    f"{NAME}(min_released=0.5): the test's body must release the GIL for at least this fraction of "
    "its time; it is called repeatedly, with the same fixtures (gilpool)"
)
DEFAULT_MIN_RELEASED = 0.5


def min_released(item: pytest.Item) -> float | None:
    """What the closest marker of this test asks for; None if the test is not marked.

    Raises:
        ValueError: The marker has arguments that it does not know, or a fraction that is none.
    """
    marker = item.get_closest_marker(NAME)
    if marker is None:
        return None
    unknown = [repr(argument) for argument in marker.args]
    unknown += [name for name in marker.kwargs if name != "min_released"]
    if unknown:
        raise ValueError(
            f"@pytest.mark.{NAME} takes min_released= and nothing else, not {', '.join(unknown)}"
        )
    fraction = marker.kwargs.get("min_released", DEFAULT_MIN_RELEASED)
    is_number = isinstance(fraction, (int, float)) and not isinstance(fraction, bool)
    if not is_number or not 0 <= fraction <= 1:
        raise ValueError(
            f"@pytest.mark.{NAME}: min_released must be a fraction from 0 to 1, not {fraction!r}"
        )
    return float(fraction)


def complaint(item: pytest.Item) -> str | None:
    """Why this test cannot carry the marker as it does; None if it can, or has none."""
    try:
        if min_released(item) is None:
            return None
    except ValueError as error:
        return str(error)
    if not isinstance(item, pytest.Function):
        return f"@pytest.mark.{NAME} marks test functions, not a {type(item).__name__}"
    if item.cls is not None and issubclass(item.cls, unittest.TestCase):
        return (
            f"@pytest.mark.{NAME} cannot mark a method of a unittest.TestCase, which unittest "
            "calls and not pytest: make it a plain function or method"
        )
    if inspect.iscoroutinefunction(item.obj) or inspect.isasyncgenfunction(item.obj):
        return (
            f"@pytest.mark.{NAME} cannot mark a coroutine function: calling it runs nothing; mark "
            "a test that calls what the coroutine would call"
        )
    return None


def body(item: pytest.Function) -> Callable[[], None]:
    """The test's body as a callable without arguments, under the test's name."""
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
    test = item.obj

    @functools.wraps(test)
    def call() -> None:
        __tracebackhide__ = True
        test(**arguments)

    return call
