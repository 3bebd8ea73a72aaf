"""Native functions that let the GIL go, or hold it: `release_gil=True` is the default.

Called directly they run as any C function does. Spawned, as in
``pool.spawn(kernels.count_primes, 10**8)``, they never touch the GIL: they run on native lanes, on
every core, and their results are delivered in batches. Spawned with ``release_gil=False`` they are
a Python task that holds the GIL.

Killing a task, and Ctrl-C in the main thread, ends the wait for a kernel within 50 ms. A library
call that cannot be interrupted ends in the background, and its result is dropped; its buffers stay
exported until then. A direct call that holds the GIL cannot be interrupted at all, like any C
function that does: a signal is handled, and a kill heeded, when it returns.

`sleep` and `wait_fd` only wait. They have no switch, and spawned they need no thread at all.

    >>> from gilpool import kernels
    >>> kernels.count_primes(100)
    25
"""

# One native table says everything about the kernels (csrc/bindings/kernel_table.cpp); kernels.pyi
# has their types. docs/adding-a-kernel.md tells how to add one.

from typing import Any

from gilpool import _core
from gilpool._core import sleep as sleep
from gilpool._core import wait_fd as wait_fd

globals().update(_core._kernels)

__all__ = [*_core._kernels, "sleep", "wait_fd"]  # noqa: PLE0604 -- names of a native table


def __getattr__(name: str) -> Any:
    library = _core._missing_kernels.get(name)
    if library is not None:
        raise AttributeError(f"gilpool was built without {library}, which kernels.{name} needs")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
