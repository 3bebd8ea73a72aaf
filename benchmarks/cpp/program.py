"""One run of one contestant of the native benchmarks, in a process of its own.

May be called by one thread at a time; it waits, so that nothing of this process runs meanwhile.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.declare import Check, Outcome, UnavailableError
from benchmarks.isolated import RunFailedError

ROOT = Path(__file__).resolve().parents[2]

#: Where the compiled program is looked for, unless this variable names it.
VARIABLE = "GILPOOL_BENCH"
BUILD = ROOT / "build" / "bench" / "benchmarks" / "cpp" / "gilpool_bench"

HOW_TO_BUILD = "./run bench cpp (needs libbenchmark-dev, libtbb-dev, libconcurrentqueue-dev)"

#: Seconds after which a run is killed: the longest one measures some seconds.
TIMEOUT = 100.0

#: Seconds that a run waits at most for the machine to have nothing else to do.
PATIENCE = 3.0

#: So many looks in a row must find nobody else running, one every `LOOK_EVERY` seconds.
LOOKS = 3
LOOK_EVERY = 0.02


def program() -> Path:
    """The compiled program.

    Raises:
        UnavailableError: It has not been built; the text says how to.
    """
    named = os.environ.get(VARIABLE)
    place = Path(named) if named else BUILD
    if not place.is_file():
        raise UnavailableError(f"not built: {HOW_TO_BUILD}")
    return place


def run(contest: str, contestant: str, sizes: Sequence[int]) -> Outcome:
    """Runs the contestant once and returns its time, its counters, and whether it was honest.

    Raises:
        UnavailableError: The program is not there.
        RunFailedError: It crashed, hung, or knows no such contestant.
    """
    name = "/".join([contest, contestant, *map(str, sizes)])
    command = [os.fspath(program()), f"--benchmark_filter=^{name}/", "--benchmark_format=json"]
    others = _wait_for_calm()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise RunFailedError(f"hung: no answer within {TIMEOUT:g} s, killed") from error
    if done.returncode != 0:
        raise RunFailedError(f"{name} ended with {done.returncode}", done.stderr)
    rows = json.loads(done.stdout or "{}").get("benchmarks", [])
    if len(rows) != 1:
        raise RunFailedError(f"{name} matches {len(rows)} benchmarks", done.stderr)
    return _outcome(rows[0], others)


def _outcome(row: Mapping[str, object], others: int) -> Outcome:
    """What Google Benchmark reports for one benchmark; counters stand beside its own fields."""
    own = {"iterations", "repetitions", "repetition_index", "threads_per", "family_index"}
    figures = {
        name: float(value)
        for name, value in row.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool) and name not in own
    }
    # Every contest is declared in milliseconds.
    figures["wall"] = figures.pop("real_time", 0.0) / 1e3
    figures.pop("cpu_time", None)
    figures["others"] = float(others)
    return Outcome(figures, {"failure": row.get("error_message")})


def honest() -> Check:
    """The program's own checks: counts, threads, nothing run by the submitter."""

    def test(outcome: Outcome) -> str | None:
        failure = outcome.evidence["failure"]
        return None if failure is None else str(failure)

    return Check("all tasks ran, once, on the pool's threads", test)


def _wait_for_calm() -> int:
    """Waits until nobody else runs, within reason; returns how many still did at the last look."""
    give_up = time.monotonic() + PATIENCE
    calm = 0
    while True:
        running = _running_others()
        calm = calm + 1 if running == 0 else 0
        if calm == LOOKS or time.monotonic() > give_up:
            return running
        time.sleep(LOOK_EVERY)


def _running_others() -> int:
    """Threads that run or want to, this one apart; 0 where the kernel does not tell."""
    try:
        return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1
    except (OSError, ValueError, IndexError):
        return 0
