"""Makes native workers look like Python threads. Called by _core, on the worker itself."""

import sys
import threading


def register(name: str) -> None:
    """Enter the calling worker in threading's books, as a daemon of that name."""
    # threading makes a suitable object for any thread it meets for the first time.
    threading.current_thread().name = name


def unregister() -> None:
    """Take the calling worker out of threading's books: they would keep its object for good."""
    threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]


def follow_hooks() -> None:
    """Install the functions last given to threading.settrace and threading.setprofile."""
    sys.setprofile(threading.getprofile())
    sys.settrace(threading.gettrace())
