"""What a forked child must do about the tasks that it has inherited and nobody there will run.

What the pools run or have queued fails natively. The rest are things that only Python knows: what
waits for a slot in a backlog, what arrives through links (which are not called in the child), and
the books of pools and groups.
"""

from typing import Final, Protocol

from gilpool._living import Living

PARENTS_TASK: Final = "the process forked: this task belongs to the parent process"


class Inheritable(Protocol):
    """What is told in a child."""

    def _begin_anew(self) -> None:
        """Forget what the parent goes on with. The only thread is this one."""


_inheritable: Final[Living[Inheritable]] = Living()


def see_to(one: Inheritable) -> None:
    """Have `one` told in every child in which it still lives. Any thread."""
    _inheritable.add(one)


def begin_anew() -> None:
    """Tell everyone; the fork hook, once the inherited tasks of the pools have failed."""
    for one in _inheritable:
        one._begin_anew()
