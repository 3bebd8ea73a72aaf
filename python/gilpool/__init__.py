"""A native thread pool for Python that knows the GIL.

Spawn anything, as easily as with gevent, on plain threads::

    import time, gilpool

    pool = gilpool.Pool()
    for _ in range(10):
        pool.spawn(time.sleep, 1)
    pool.join()                     # 1.00 s, not 10

Blocking calls overlap because C code that waits lets the GIL go; ``gilpool experiment`` shows on
your own machine what happens when it does not.

PYTEST_DONT_REWRITE: pytest, which loads the plugin, may find gilpool imported.
"""

# General layout: `_core` is the compiled module (csrc/bindings) and everything that must touch
# native state; the modules here build on its public face only. `_hooks` ties the pool to the
# interpreter's exit and to fork, `_cli` is the command line and is never imported from here.
# `gil` sees what calls do with the GIL; it is imported when first used.
# Importing this package starts no thread and imports no optional dependency.

from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from gilpool import kernels as kernels
from gilpool._core import Task as Task
from gilpool._core import TaskExit as TaskExit
from gilpool._core import WaitTimeout as WaitTimeout
from gilpool._core import __version__ as __version__
from gilpool._core import collect_stats as collect_stats
from gilpool._core import getcurrent as getcurrent
from gilpool._core import sleep as sleep
from gilpool._core import sleep_gil as sleep_gil
from gilpool._core import sleep_nogil as sleep_nogil
from gilpool._core import stats as stats
from gilpool._errors import PoolFull as PoolFull
from gilpool._features import features as features
from gilpool._group import Group as Group
from gilpool._hooks import install as _install_hooks
from gilpool._pool import Pool as Pool
from gilpool._pool import default_pool as default_pool
from gilpool._pool import spawn as spawn
from gilpool._pool import spawn_later as spawn_later
from gilpool._waiting import iwait as iwait
from gilpool._waiting import joinall as joinall
from gilpool._waiting import killall as killall
from gilpool._waiting import wait as wait

__all__ = [
    "Group",
    "Pool",
    "PoolFull",
    "Task",
    "TaskExit",
    "WaitTimeout",
    "__version__",
    "collect_stats",
    "default_pool",
    "features",
    "getcurrent",
    "gil",
    "iwait",
    "joinall",
    "kernels",
    "killall",
    "sleep",
    "sleep_gil",
    "sleep_nogil",
    "spawn",
    "spawn_later",
    "stats",
    "wait",
]

if _TYPE_CHECKING:
    from gilpool import gil as gil

_install_hooks()


def __getattr__(name: str) -> _Any:
    if name == "gil":
        import importlib

        return importlib.import_module("gilpool.gil")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
