"""What else goes on in the process and on the machine while a call is measured."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from gilpool.gil._report import count

_TIMERS = ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF")


def other_threads() -> int:
    """How many other threads are inside Python code or a call from it; idle workers are not."""
    return len(sys._current_frames()) - 1


def disturbances() -> list[str]:
    """One phrase for each; in the order in which they are likely to matter."""
    found = []
    if others := other_threads():
        found.append(count(others, "other Python thread"))
    if sys.gettrace() is not None:
        found.append("a trace function (debugger, coverage)")
    if sys.getprofile() is not None:
        found.append("a profile function")
    found += [f"sys.monitoring tool {tool!r}" for tool in _monitoring_tools()]
    found += [f"a running {name}" for name in _TIMERS if _runs(name)]
    if load := _load():
        found.append(load)
    return found


def _monitoring_tools() -> list[str]:
    monitoring = getattr(sys, "monitoring", None)
    if monitoring is None:
        return []
    tools = (monitoring.get_tool(number) for number in range(6))
    return [tool for tool in tools if tool is not None]


def _runs(timer: str) -> bool:
    number = getattr(signal, timer, None)
    return number is not None and signal.getitimer(number)[0] > 0


def _load() -> str | None:
    """More threads ready to run on the machine than it has cores for us."""
    with suppress(OSError, ValueError, IndexError):
        with open("/proc/loadavg") as file:
            ready = int(file.read().split()[3].partition("/")[0]) - 1  # but for ourselves
        cores = len(os.sched_getaffinity(0))
        if ready >= cores:
            return f"{ready} other threads ready to run on {count(cores, 'core')}"
    return None
