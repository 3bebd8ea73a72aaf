"""What belongs to the tasks and threads of this process, so that no copy of it could work."""

from typing import NoReturn


class Uncopied:
    """Mix-in that refuses copy and pickle, as Task and the native Pool do by themselves."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")
