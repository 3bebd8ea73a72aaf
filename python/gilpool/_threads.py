"""Makes native workers look like Python threads. Called by _core, on the worker itself."""

import itertools
import sys
import threading

_numbers = itertools.count(1)


def register() -> None:
    """Enter the calling worker in threading's books, as a daemon named gilpool-N."""
    # threading makes a suitable object for any thread it meets for the first time.
    threading.current_thread().name = f"gilpool-{next(_numbers)}"


def unregister() -> None:
    """Take the calling worker out of threading's books: they would keep its object for good."""
    threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]


def follow_hooks() -> None:
    """Install the functions last given to threading.settrace and threading.setprofile."""
    sys.setprofile(threading.getprofile())
    sys.settrace(threading.gettrace())
