"""From words on the command line to a call that can be measured."""

from __future__ import annotations

import ast
import functools
import importlib
import keyword
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gilpool._cli.exits import USAGE, CommandError
from gilpool.gil._callables import refuse_unmeasurable

_LONGEST_LABEL = 60


@dataclass(frozen=True)
class Target:
    """A call to measure, and what to call it."""

    label: str
    call: Callable[[], object]


def named(name: str, arguments: Sequence[str], keywords: Sequence[str]) -> Target:
    """The call of `module:function` with arguments that are Python literals.

    Raises:
        CommandError: There is no such module or callable, or an argument is no literal.
    """
    positional = [_literal("--args", text) for text in arguments]
    named_ones = _keywords(keywords)
    function = _function(name)
    written = [*map(_short, arguments), *map(_short, keywords)]
    label = f"{name.replace(':', '.', 1)}({', '.join(written)})"
    return Target(label, functools.partial(function, *positional, **named_ones))


def expression(text: str, setup: str, **names: object) -> Target:
    """The evaluation of a Python expression, after `setup` was run once with `names` at hand.

    Raises:
        CommandError: One of them does not compile, or the setup raised.
    """
    namespace: dict[str, Any] = {"__name__": "__main__", **names}
    look_where_python_would()
    try:
        exec(compile(setup, "--setup", "exec"), namespace)
    except Exception as error:
        raise CommandError(USAGE, f"argument --setup: {_told(error)}") from error
    try:
        code = compile(text, "--call", "eval")
    except (SyntaxError, ValueError) as error:
        raise CommandError(USAGE, f"argument --call: {_told(error)}") from error
    return Target(_short(text), functools.partial(eval, code, namespace))


def look_where_python_would() -> None:
    """Lets modules in the current directory be found, as `python -m` does and a script does not."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())


def _function(name: str) -> Callable[..., object]:
    module_name, colon, path = name.partition(":")
    if not (colon and module_name and path):
        raise CommandError(USAGE, f"name what to call as module:function, not {name!r}")
    look_where_python_would()
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise CommandError(USAGE, f"cannot import {module_name!r}: {_told(error)}") from error
    for attribute in path.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError as error:
            raise CommandError(USAGE, f"{name!r}: {error}") from error
    try:
        refuse_unmeasurable(found)
    except TypeError as error:
        raise CommandError(USAGE, f"cannot measure {name!r}: {error}") from error
    function: Callable[..., object] = found
    return function


def _keywords(texts: Sequence[str]) -> Mapping[str, object]:
    found = {}
    for text in texts:
        name, equals, literal = text.partition("=")
        if not equals or not name.isidentifier() or keyword.iskeyword(name):
            raise CommandError(USAGE, f"argument --kwargs: expected NAME=LITERAL, not {text!r}")
        found[name] = _literal("--kwargs", literal)
    return found


def _literal(option: str, text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise CommandError(
            USAGE,
            f"argument {option}: {_short(text)!r} is no Python literal (text needs quotes of its "
            "own, as in \"'text'\"); for expressions there is --call",
        ) from error


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 3]}..."


def _told(error: BaseException) -> str:
    """The error in one line."""
    if isinstance(error, SyntaxError):
        where = f" (line {error.lineno})" if error.lineno else ""
        return f"{type(error).__name__}: {error.msg}{where}"
    message = str(error).strip().splitlines()
    return f"{type(error).__name__}: {message[0]}" if message else type(error).__name__
