"""What the interpreter's exit says about tasks that it finds failed and alive.

An exception that nobody fetched is reported when its task is dropped. A task that is held to the
end, by a module say, is dropped when it is too late to report anything; so it is done before.
"""

import gc

from gilpool import _core
from gilpool._core import Task


def report_unfetched() -> None:
    """Report the unfetched exceptions of all tasks, once each; an ``atexit`` function."""
    if _core.stats()["task_objects"] == 0:
        return
    # No task pays for this: the collector knows every one that has failed.
    # By type: a stranger's __class__ may be code that raises.
    for task in [one for one in gc.get_objects() if issubclass(type(one), Task)]:
        # The finalizer reports what nobody has asked for, and notes that it did.
        Task.__del__(task)
