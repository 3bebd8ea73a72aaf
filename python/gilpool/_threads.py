"""Makes native workers look like Python threads. Called by _core, on the worker, with the GIL.

threading makes an object for each thread that it meets, in 8 us and of a dozen parts that the
garbage collector has to visit: much, when thousands of workers begin one after the other. What
such an object holds is the same for all but for a few names, so the first one is the model of the
others.
"""

import sys
import threading
from typing import Any

#: What is each thread's own.
_OWN = frozenset({"_name", "_ident", "_native_id"})
#: A handle to the thread, as some versions have it, is made from its identifier.
_HANDLES = frozenset({"_handle", "_os_thread_handle"})
#: What does not differ and does not change in a thread that threading has not started. The event is
#: that the thread has started.
_COMMON = frozenset(
    {
        "_args",
        "_context",
        "_daemonic",
        "_initialized",
        "_invoke_excepthook",
        "_is_stopped",
        "_kwargs",
        "_started",
        "_stderr",
        "_target",
        "_tstate_lock",
    }
)

#: What the model shares, and its handles. Empty until there is a model, for good if it has more
#: parts than are known here, or if somebody has put other threads in the place of threading's.
_common_parts: dict[str, Any] = {}
_handles: list[str] = []


def register(name: str) -> None:
    """Enter the calling worker in threading's books, as a daemon of that name."""
    if not _common_parts:
        thread = threading.current_thread()
        thread.name = name
        _take_for_model(thread)
        return
    thread = object.__new__(threading._DummyThread)
    ident = threading.get_ident()
    parts = thread.__dict__
    parts.update(_common_parts)
    parts["_name"] = name
    parts["_ident"] = ident
    parts["_native_id"] = threading.get_native_id()
    for handle in _handles:
        parts[handle] = threading._make_thread_handle(ident)  # type: ignore[attr-defined]
    threading._active[ident] = thread  # type: ignore[attr-defined]


def _take_for_model(thread: threading.Thread) -> None:
    dummy = threading._DummyThread
    parts = vars(thread)
    known = _OWN | _HANDLES | _COMMON
    if type(thread) is dummy and dummy.__module__ == "threading" and _OWN <= parts.keys() <= known:
        _handles.extend(_HANDLES & parts.keys())
        _common_parts.update({key: parts[key] for key in _COMMON & parts.keys()})


def unregister() -> None:
    """Take the calling worker out of threading's books: they would keep its object for good."""
    sys.setprofile(None)  # what is done here is nothing to look at
    sys.settrace(None)
    threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]


def become_main_thread() -> None:
    """In a forked child: let a worker, if it forked, end the interpreter as a main thread does.

    Up to Python 3.12 the exit asserts that the main thread has a lock that only threads have which
    threading has started; a multiprocessing child would end with exit code 1.
    """
    main = threading.main_thread()
    if type(main) is threading._DummyThread and getattr(main, "_tstate_lock", main) is None:
        main._set_tstate_lock()  # type: ignore[attr-defined]


def follow_hooks() -> None:
    """Install the functions last given to threading.settrace and threading.setprofile."""
    sys.setprofile(None)  # what is done here is nothing to look at
    sys.settrace(None)
    trace, profile = threading.gettrace(), threading.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)  # last: it sees what is called from now on
