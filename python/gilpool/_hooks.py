"""Ties the native pool to the interpreter's exit and to fork.

The exit hook runs in the main thread before non-daemon threads are joined, which is the last
moment at which every native worker can still take the GIL, finish and end. Code that runs later
(``atexit`` functions) may ask finished tasks, but not spawn.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable

# The native part needs _kill and _threads, on workers. Imported there, they would be half a module
# for good in a child that is forked meanwhile.
from gilpool import _core, _forks, _imap, _kill, _threads  # noqa: F401
from gilpool._exit import drop_queue, let_go_of_what_never_starts
from gilpool._helpers import maps_under_way
from gilpool._unfetched import report_unfetched


def _exit_follows_interrupt() -> bool:
    """Whether the interpreter ends because of a KeyboardInterrupt nobody caught."""
    if hasattr(sys, "ps1"):  # an interactive session survives Ctrl-C; its last error may be old
        return False
    return issubclass(getattr(sys, "last_type", None) or type(None), KeyboardInterrupt)


def _at_exit() -> None:
    """Run what was spawned to its end (drop the queue after Ctrl-C), then end the workers."""
    _imap.stop_main_feeders()
    try:
        if _exit_follows_interrupt():
            drop_queue()
        let_go_of_what_never_starts()
    except BaseException:  # Ctrl-C, while it waited
        drop_queue()
        raise
    finally:
        # Runs what is left: gilpool's own calls of links, too, without which what runs might wait
        # for ever.
        _core._finish()


def _in_child() -> None:
    """Fail what the parent goes on with, and begin anew."""
    _core._after_fork_in_child()
    maps_under_way.clear()
    _threads.become_main_thread()
    _forks.begin_anew()


def _register_exit_hook(hook: Callable[[], None]) -> None:
    # concurrent.futures hangs on the same private function: atexit itself runs only after the
    # non-daemon threads, which may be waiting for our tasks, have been joined.
    try:
        threading._register_atexit(hook)  # type: ignore[attr-defined]
    except (AttributeError, RuntimeError):  # gone, or the interpreter is shutting down already
        atexit.register(hook)


def install() -> None:
    """Register the hooks; called once, when gilpool is imported."""
    main_ident = threading.main_thread().ident
    if main_ident is not None:
        _core._set_main_thread(main_ident)
    # Runs after the functions that are registered later, and after every thread that may ask.
    atexit.register(report_unfetched)
    _register_exit_hook(_at_exit)
    os.register_at_fork(
        before=_core._before_fork,
        after_in_parent=_core._after_fork_in_parent,
        after_in_child=_in_child,
    )
