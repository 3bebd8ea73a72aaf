"""Tasks that are tracked from outside, by their links: a Group's, and those a Pool only counts.

The functions work on a dict of the owner, with the owner's bound method as link: the owner is then
in no reference cycle unless a task is tracked. Any thread may call them; each change is one atomic
operation of the dict, so a task enters and leaves exactly once.
"""

from collections.abc import Callable
from typing import Any, Final

Members = dict[Any, object]

_ABSENT: Final = object()


def track(members: Members, task: Any, ended: Callable[[Any], object]) -> bool:
    """Enter `task` and have ended(task) called once it is done; False if it is tracked already.

    What has no ``rawlink`` stays until it is taken out.
    """
    mark = object()
    if members.setdefault(task, mark) is not mark:
        return False
    rawlink = getattr(task, "rawlink", None)
    if rawlink is not None:
        rawlink(ended)
    return True


def untrack(members: Members, task: Any, ended: Callable[[Any], object]) -> bool:
    """Take `task` out and take the link back; False if it is not tracked."""
    if not remove(members, task):
        return False
    unlink = getattr(task, "unlink", None)
    if unlink is not None:
        unlink(ended)
    return True


def remove(members: Members, task: Any) -> bool:
    """Take `task` out; False if it is not tracked."""
    return members.pop(task, _ABSENT) is not _ABSENT
