"""The measuring process: runs the rows one after the other and reports stamps over a pipe.

It does nothing else while a row runs: no drawing, no logging, no thread of its own besides the
recorder's native sampler, which never takes the GIL. So what it measures is not disturbed by being
shown. The parent starts it (`measure.py`) and gives it a JSON object with `fd`, `parent`,
`threads`, `ms` and `rows`.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gilpool
from gilpool import _core
from gilpool._cli.exits import NOT_MEASURED
from gilpool._cli.rows import Parameters, Row, experiment_rows
from gilpool._kernel_calls import Material, calibrate, seconds_of

_PR_SET_PDEATHSIG = 1

_CALLS: dict[str, Callable[[float], object]] = {
    "sleep_nogil": gilpool.sleep_nogil,
    "sleep_gil": gilpool.sleep_gil,
    "time.sleep": time.sleep,
}


class Channel:
    """Writes notes to the parent; each one reaches the pipe as a whole, between the stamps."""

    _LONGEST_MESSAGE = 1000

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def send(self, event: str, **fields: Any) -> None:
        note = json.dumps({"event": event, **fields})
        os.write(self.fd, f"J {note}\n".encode())

    def send_failure(self, message: str) -> None:
        # A line up to PIPE_BUF is never interleaved with others; a message could be longer.
        self.send("failed", message=message[: self._LONGEST_MESSAGE])


def main(settings_json: str) -> None:
    """Runs the rows that `settings_json` names; ends the process when it cannot."""
    # Ctrl-C reaches the whole foreground process group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = json.loads(settings_json)
    die_with_parent(settings["parent"])
    channel = Channel(settings["fd"])
    try:
        channel.send("hello", machine=machine_facts())
        parameters = Parameters(
            settings["threads"], settings["ms"], settings["kernel"], settings["cores"]
        )
        for row in experiment_rows(parameters):
            if row.number in settings["rows"]:
                run_row(row, channel)
        channel.send("done")
    except BrokenPipeError:
        os._exit(NOT_MEASURED)
    except BaseException as error:
        channel.send_failure(f"{type(error).__name__}: {error}")
        # Not sys.exit: threads may be waiting at a gate that will never open.
        os._exit(NOT_MEASURED)


def die_with_parent(parent: int) -> None:
    """Sees to it that this process does not outlive its parent, however that ends.

    On Linux the kernel kills it, even while a C call holds the GIL; elsewhere the next note meets a
    closed pipe.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have gone before the line above; then nobody is left to send the signal.
    if os.getppid() != parent:
        os._exit(NOT_MEASURED)


def machine_facts() -> dict[str, Any]:
    """What a reader of the numbers has to know about this interpreter and machine."""
    return {
        "gilpool": gilpool.__version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "free_threaded_build": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "gil_enabled": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "cores": usable_cores(),
        "platform": platform.platform(),
    }


def usable_cores() -> int:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_row(row: Row, channel: Channel) -> None:
    """Runs one row; its last note comes after every thread was joined and the recorder is still."""
    if row.kernel is None:
        argument = row.ideal if row.call == "time.sleep" else row.call_ms
        record(row, channel, [partial(_CALLS[row.call], argument)] * row.threads)
        return
    with Material() as material:
        calls, seconds = prepare_kernel(row, row.kernel, material)
        record(row, channel, calls, call_ms=seconds * 1e3)


def prepare_kernel(
    row: Row, name: str, material: Material
) -> tuple[list[Callable[[], object]], float]:
    """A call for each thread, about as long as asked for, and how many seconds one takes alone."""
    kernel = _core._kernels[name]
    n = calibrate(kernel, material, row.call_ms)
    seconds = sorted(seconds_of(kernel, material.arguments(kernel, n)) for _ in range(3))[1]
    release = row.expected == "released"
    calls: list[Callable[[], object]] = [
        partial(kernel, *material.arguments(kernel, n), release_gil=release)
        for _ in range(row.threads)
    ]
    return calls, seconds


def record(
    row: Row, channel: Channel, calls: list[Callable[[], object]], **measured: float
) -> None:
    """Makes the calls, each on a thread of its own, while the recorder looks on."""
    channel.send("row", row=row.number, **measured)
    recorder = _core.PhaseRecorder(row.threads, fd=channel.fd, row=row.number, gate=row.gate)
    errors: list[BaseException] = []

    def call(index: int) -> None:
        try:
            recorder.run(index, calls[index])
        except BaseException as error:
            errors.append(error)

    run = _run_on_threads if row.runner == "threading.Thread" else _run_on_pool
    run(row, recorder, call)
    end_ns = time.monotonic_ns()
    recorder.close()
    if errors:
        raise errors[0]
    channel.send("row_end", row=row.number, t_ns=end_ns)


def _run_on_threads(row: Row, _: _core.PhaseRecorder, call: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=call, args=(index,)) for index in range(row.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _run_on_pool(row: Row, recorder: _core.PhaseRecorder, call: Callable[[int], None]) -> None:
    pool = gilpool.Pool()
    for index in range(row.threads):
        if not row.gate:
            recorder.spawned(index)
        pool.spawn(call, index)
    pool.join()
