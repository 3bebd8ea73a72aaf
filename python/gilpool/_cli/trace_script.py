"""Runs somebody's script or module as `python` itself would: as __main__, with its own argv."""

from __future__ import annotations

import builtins
import io
import os
import runpy
import sys
import threading
import traceback
import types
from collections.abc import Callable

import gilpool
from gilpool._cli.exits import SIGNAL_BASE, USAGE, CommandError
from gilpool._exit import drop_queue, let_go_of_what_never_starts

_INTERRUPTED = SIGNAL_BASE + 2


def prepare_script(path: str, args: list[str]) -> Callable[[], None]:
    """Reads and compiles the script; the result runs it.

    Raises:
        CommandError: There is no such file.
        SyntaxError: It is not Python.
    """
    try:
        with io.open_code(os.path.abspath(path)) as file:
            source = file.read()
    except OSError as error:
        raise CommandError(USAGE, f"cannot open {path!r}: {error.strerror}") from None

    def run() -> None:
        module = types.ModuleType("__main__")
        module.__dict__.update(__file__=path, __builtins__=builtins, __spec__=None)
        sys.modules["__main__"] = module
        sys.argv[:] = [path, *args]
        sys.path[0] = os.path.dirname(os.path.realpath(path))
        exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)

    return run


def prepare_module(name: str, args: list[str]) -> Callable[[], None]:
    """The result runs the module, as `python -m` does."""

    def run() -> None:
        sys.argv[:] = [name, *args]
        sys.path[0] = os.getcwd()
        runpy.run_module(name, run_name="__main__", alter_sys=True)

    return run


def exit_code_of(run: Callable[[], None]) -> int:
    """Runs it, waits for what it has left running, and returns what python's exit code would be.

    An exception is shown as python shows it, without the frames of this module.
    """
    code = 0
    try:
        run()
    except SystemExit as end:
        code = _code_of(end)
    except BaseException as error:
        _show(error)
        code = 1
        if isinstance(error, KeyboardInterrupt):
            code = _INTERRUPTED
            drop_queue()
    try:
        _wait_for_the_rest()
    except KeyboardInterrupt:
        code = _INTERRUPTED
    return code


def _code_of(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _show(error: BaseException) -> None:
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in (__file__, runpy.__file__):
        frames = frames.tb_next
    # Frozen modules have no file of their own.
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith("<frozen "):
        frames = frames.tb_next
    error.__traceback__ = frames
    try:
        sys.excepthook(type(error), error, frames)
    except Exception:
        traceback.print_exc()


def _wait_for_the_rest() -> None:
    """Until no task and no thread is left that python's exit would wait for."""
    here = threading.current_thread()
    let_go_of_what_never_starts()
    while True:
        gilpool.wait()
        others = [
            thread for thread in threading.enumerate() if thread is not here and not thread.daemon
        ]
        if not others:
            return
        for thread in others:
            thread.join()
