"""What can be measured, and what it is called in a report."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

_LONGEST_NAME = 100


def refuse_unmeasurable(function: object) -> None:
    """Raise TypeError for what a call of would not run, or that cannot be called."""
    if inspect.iscoroutine(function) or inspect.isawaitable(function):
        raise TypeError(
            f"fn must be callable, but is a coroutine or another awaitable, {function!r}: "
            "pass a plain function"
        )
    if not callable(function):
        raise TypeError(f"fn must be callable, not {type(function).__name__}")
    for what, kind in (
        (inspect.iscoroutinefunction, "a coroutine function"),
        (inspect.isasyncgenfunction, "an async generator function"),
        (inspect.isgeneratorfunction, "a generator function"),
    ):
        if what(function) or what(_call_of(function)):
            raise TypeError(
                f"fn is {kind}, {name_of(function)}: calling it runs none of its body. Pass a "
                "plain function that runs it to its end, for example with asyncio.run or list"
            )


def refuse_unrun(result: object, function: Callable[..., Any]) -> None:
    """Raise TypeError if a call gave something that has yet to be run."""
    if inspect.iscoroutine(result):
        result.close()  # else it would warn that it was never awaited
    elif not inspect.isasyncgen(result) and not inspect.isgenerator(result):
        return
    raise TypeError(
        f"{name_of(function)} returned {type(result).__name__} objects, whose body has not run. "
        "Pass a plain function that runs it to its end, for example with asyncio.run or list"
    )


def name_of(function: object) -> str:
    """Module and qualified name, or the shortened repr of what has none."""
    function = _unwrapped(function)
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    if isinstance(function, types.BuiltinFunctionType) and isinstance(function.__module__, str):
        name = function.__name__  # what pybind11 binds has a type of its own in the other
    if not isinstance(name, str):
        try:
            text = repr(function)
        except Exception:  # its own business, and no reason not to measure it
            text = object.__repr__(function)
        return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."
    module = getattr(function, "__module__", None)
    if not isinstance(module, str):  # a method of a built-in type
        owner = getattr(function, "__self__", None)
        if owner is None or inspect.ismodule(owner):
            return name
        return f"{type(owner).__name__}.{name.rpartition('.')[2]}"
    return name if module in ("builtins", "__main__") else f"{module}.{name}"


def _call_of(function: object) -> object:
    """What a call of an instance runs."""
    return getattr(type(_unwrapped(function)), "__call__", None)  # noqa: B004


def _unwrapped(function: object) -> object:
    while isinstance(function, functools.partial):
        function = function.func
    return function
