"""What the interpreter's exit drops, and what it does not wait for.

Exit runs what was spawned to its end (see `_hooks`). Ctrl-C leaves only what runs already; and what
can never start would hold the exit for ever.
"""

import threading

from gilpool._core import Task
from gilpool._helpers import helpers, maps_under_way
from gilpool._pool import Pool, every_pool
from gilpool._waiting import wait


def drop_queue() -> None:
    """End what is queued or waits for a slot, everywhere; what runs goes on. Any thread."""
    for task in list(maps_under_way):
        task.kill(block=False)  # else it would go on to spawn
    for pool in every_pool:
        pool._backlog.cancel()
    for some in (every_pool, helpers.values()):
        for one in some:
            one._cancel_queued()


def let_go_of_what_never_starts() -> None:
    """Free the slots of what was added and never started; end what waits for a pool of size 0.

    That may have to wait: somebody who still runs may give the pool a size.
    """
    for pool in every_pool:
        for guest in list(pool._guests):
            if not (isinstance(guest, Task) and guest.started):
                pool.discard(guest)
    while shut := [pool for pool in every_pool if not pool.daemon and _is_shut(pool)]:
        if not _wait_for_others():
            for pool in shut:
                _abandon(pool)
            return


def _is_shut(pool: Pool) -> bool:
    return pool.size == 0 and (bool(pool._backlog) or pool in list(maps_under_way.values()))


def _abandon(pool: Pool) -> None:
    pool._backlog.abandon()
    for task, mapped_on in list(maps_under_way.items()):
        if mapped_on is pool:
            task.kill(block=False)


def _wait_for_others() -> bool:
    """Wait until the threads and tasks that exit waits for have ended; False if there are none."""
    here = threading.current_thread()
    threads = [one for one in threading.enumerate() if one is not here and not one.daemon]
    tasks = [task for pool in every_pool if not pool.daemon for task in pool._tasks()]
    for thread in threads:
        thread.join()
    wait(tasks)
    return bool(threads or tasks)
