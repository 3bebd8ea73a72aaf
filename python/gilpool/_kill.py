"""How the very exception that a task is killed with gets raised in it. Called by _core, GIL held.

Python raises another thread's asynchronous exception by calling a type without arguments: what the
killer's instance carries would be lost, and a type that needs arguments could not be made at all.
"""

import types
from collections.abc import Callable


def type_that_gives(
    kind: type[BaseException], instance: Callable[[], BaseException]
) -> type[BaseException]:
    """Return a subclass of `kind` whose call returns instance().

    Raises whatever `kind` raises when it is subclassed.
    """

    def new(_: type[BaseException], *__: object) -> BaseException:
        return instance()

    namespace = {"__new__": new, "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return types.new_class(kind.__name__, (kind,), exec_body=lambda body: body.update(namespace))
