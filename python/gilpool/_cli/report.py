"""The `--json` object: everything that was measured, under names that stay.

schema       1; grows when a key changes its name or meaning (new keys may come at any time)
command      "experiment"
passed       whether every row came out as it must; the exit code is 0 then, else 1
complaints   one sentence per row that did not
machine      gilpool, python, implementation, free_threaded_build, gil_enabled, cores, platform
parameters   threads, ms, kernel (null: the calls sleep)
rows         one object per row, in the order in which they ran:
    row                  its number, from 1
    what                 "threading.Thread" or "gilpool.Pool"
    call                 "sleep_nogil", "sleep_gil", "time.sleep", or how the kernel was called
    threads              how many calls were made, each meant for a thread of its own
    os_threads           how many distinct OS threads made them
    seconds              from the moment all were ready to begin until the last was joined
    ideal                seconds that one call takes; of a kernel: as measured before the row
    ratio                seconds / ideal
    verdict              "released" or "held", decided from the time stamps
    expected             the same two words: what the call is documented to do
    released_fraction    share of all in-call time that was spent off the GIL
    complaint            null, or what is wrong with this row
    timelines            one object per call:
        index            from 0
        native_id        the OS thread that made it, as in threading.get_native_id()
        phases           [{"phase": "waiting" | "held" | "released", "start": s, "end": s}, ...],
                         seconds since the row's start; "waiting" is before the call has begun
"""

from __future__ import annotations

from typing import Any

from gilpool._cli.model import RowResult, Session, Timeline
from gilpool._cli.rows import Parameters
from gilpool._cli.table import complaints

SCHEMA = 1


def report(session: Session, parameters: Parameters) -> dict[str, Any]:
    """Builds the object from a finished session."""
    wrong = complaints(session.results, gil_enabled=session.gil_enabled)
    return {
        "schema": SCHEMA,
        "command": "experiment",
        "passed": not wrong,
        "complaints": wrong,
        "machine": session.machine,
        "parameters": {
            "threads": parameters.threads,
            "ms": parameters.ms,
            "kernel": parameters.kernel,
        },
        "rows": [_row(result, gil_enabled=session.gil_enabled) for result in session.results],
    }


def _row(result: RowResult, *, gil_enabled: bool) -> dict[str, Any]:
    return {
        "row": result.row.number,
        "what": result.row.runner,
        "call": result.row.call,
        "threads": result.row.threads,
        "os_threads": result.os_threads,
        "seconds": _rounded(result.seconds),
        "ideal": _rounded(result.row.ideal),
        "ratio": _rounded(result.ratio),
        "verdict": result.verdict,
        "expected": result.row.expected,
        "released_fraction": _rounded(result.released_fraction),
        "complaint": next(iter(complaints([result], gil_enabled=gil_enabled)), None),
        "timelines": [_timeline(timeline, result.start_ns) for timeline in result.timelines],
    }


def _timeline(timeline: Timeline, start_ns: int) -> dict[str, Any]:
    return {
        "index": timeline.index,
        "native_id": timeline.native_id,
        "phases": [
            {
                "phase": span.phase,
                "start": _rounded((span.start_ns - start_ns) / 1e9),
                "end": _rounded((span.end_ns - start_ns) / 1e9),
            }
            for span in timeline.spans
        ],
    }


def _rounded(number: float) -> float:
    """To microseconds: finer is noise."""
    return round(number, 6)
