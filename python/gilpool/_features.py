"""Which optional parts this build and this interpreter have."""

from gilpool import _core


def features() -> dict[str, bool]:
    """Say which optional native features are there, as a new dict.

    ``openssl``, ``re2``: whether the kernels that need these libraries are there.
    ``gil_words``: whether gilpool can read, without the GIL, who holds it; where it cannot, it
    falls back on public interfaces of the interpreter.

    Thread safety: any thread. GIL: held.

        >>> import gilpool
        >>> gilpool.features()["gil_words"] in (True, False)
        True
    """
    libraries = {name: version != "" for name, version in _core._libraries.items()}
    return {"gil_words": _core.gil_words_are_readable, **libraries}
