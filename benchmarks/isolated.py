"""One run of a contestant in a fresh process, with a hard time-out.

Needed where a peer patches modules, owns the main thread, or leaves warm threads behind. May be
called by one thread at a time; the calling thread waits, so that nothing else of this process runs
beside the measured one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.declare import Contestant, Outcome, UnavailableError
from benchmarks.measure import Measurement

ROOT = Path(__file__).resolve().parent.parent

#: Seconds between asking a hung child for its stacks and killing it.
GRACE = 2.0

#: How much of a child's output is worth showing. The stacks of a child that hung end, from Python
#: 3.14 on, with up to 32 frames of C; those of Python come before.
TAIL_LINES = 64


class RunFailedError(Exception):
    """A run that gave no figures: it raised, crashed or hung. `details` is what it printed."""

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = details


def run_isolated(contestant: Contestant) -> Measurement:
    """Runs `contestant.run` ("module:function") in a new interpreter and returns what it measured.

    The child leads a session of its own: on a time-out, or when this process is interrupted, the
    child and everything it started are killed.

    Raises:
        UnavailableError: The child could not import what the contestant requires.
        RunFailedError: The child raised, crashed, hung or answered nothing.
    """
    with tempfile.TemporaryDirectory(prefix="gilpool-bench-") as folder:
        request, answer, printed = (Path(folder, name) for name in ("request", "answer", "printed"))
        request.write_text(
            json.dumps(
                {
                    "target": contestant.run,
                    "arguments": dict(contestant.arguments),
                    "requires": [[need.module, need.install] for need in contestant.requires],
                }
            )
        )
        command = [sys.executable, "-X", "faulthandler", "-m", "benchmarks.child"]
        with printed.open("wb") as sink:
            child = subprocess.Popen(
                [*command, os.fspath(request), os.fspath(answer)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,
            )
            try:
                hung = _wait(child, contestant.timeout)
            finally:
                if child.returncode is None:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
        text = _tail(printed)
        if hung:
            raise RunFailedError(f"hung: no answer within {contestant.timeout:g} s, killed", text)
        if child.returncode < 0:
            raise RunFailedError(f"crashed: killed by {_signal_name(-child.returncode)}", text)
        if child.returncode != 0 or not answer.exists():
            raise RunFailedError(f"ended with exit code {child.returncode} and no answer", text)
        return _read(json.loads(answer.read_text()))


def _wait(child: subprocess.Popen[bytes], timeout: float) -> bool:
    """Waits for the child; if it is late, has it print its stacks, kills its group: True."""
    try:
        child.wait(timeout)
        return False
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGABRT)
    # The leader is looked at without being reaped: once it is, its group's id may belong to others.
    give_up = time.monotonic() + GRACE
    while os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > give_up:
            break
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    return True


def _environment() -> dict[str, str]:
    """The parent's environment, with the benchmarks importable from any working directory."""
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([os.fspath(ROOT), *([inherited] if inherited else [])])
    return {**os.environ, "PYTHONPATH": path}


def _tail(printed: Path) -> str:
    lines = printed.read_text(errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _read(answer: dict[str, Any]) -> Measurement:
    """The measurement in a child's answer, or the error it reports."""
    if answer["status"] == "unavailable":
        raise UnavailableError(answer["reason"])
    if answer["status"] == "failed":
        raise RunFailedError(answer["reason"], answer["details"])
    figures = {name: float(value) for name, value in answer["figures"].items()}
    return Measurement(figures, Outcome(figures, answer["evidence"]))
