"""Sessions of the experiment made up from exact lines, as a perfect machine would report them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from gilpool._cli.model import Session
from gilpool._cli.rows import Parameters, Row, experiment_rows

MACHINE = {
    "gilpool": "9.9.9",
    "python": "3.11.7",
    "implementation": "CPython",
    "free_threaded_build": False,
    "gil_enabled": True,
    "cores": 2,
    "platform": "Linux-test",
}
START_NS = 1_000_000_000_000
FIRST_NATIVE_ID = 4_194_000


def hello(**changes: object) -> str:
    return "J " + json.dumps({"event": "hello", "machine": {**MACHINE, **changes}})


def overlapping(row: Row, start_ns: int) -> Iterator[str]:
    """All calls begin at once and end one call later, off the GIL; the row ends 1 ms after."""
    end_ns = start_ns + round(row.call_ms * 1e6)
    for index in range(row.threads):
        native_id = FIRST_NATIVE_ID + index
        yield f"P {row.number} {index} waiting {start_ns} {native_id}"
        yield f"P {row.number} {index} held {start_ns} {native_id}"
        yield f"P {row.number} {index} released {start_ns} {native_id}"
        yield f"P {row.number} {index} end {end_ns} {native_id}"
    yield row_end(row, end_ns + 1_000_000)


def staircase(row: Row, start_ns: int) -> Iterator[str]:
    """All calls are ready at once and run one after the other, holding the GIL."""
    call_ns = round(row.call_ms * 1e6)
    for index in range(row.threads):
        native_id = FIRST_NATIVE_ID + index
        yield f"P {row.number} {index} waiting {start_ns} {native_id}"
        yield f"P {row.number} {index} held {start_ns + index * call_ns} {native_id}"
        yield f"P {row.number} {index} end {start_ns + (index + 1) * call_ns} {native_id}"
    yield row_end(row, start_ns + row.threads * call_ns + 1_000_000)


def row_end(row: Row, t_ns: int) -> str:
    return "J " + json.dumps({"event": "row_end", "row": row.number, "t_ns": t_ns})


def session_of(
    rows: Sequence[Row] | None = None,
    *,
    gil_enabled: bool = True,
    without_staircase: bool = False,
) -> Session:
    """A finished session in which every row came out as expected, or every one overlapped."""
    rows = experiment_rows(Parameters()) if rows is None else rows
    session = Session(rows)
    session.feed(hello(gil_enabled=gil_enabled))
    for row in rows:
        session.feed(f'J {{"event": "row", "row": {row.number}}}')
        serial = row.expected == "held" and not without_staircase
        for line in staircase(row, START_NS) if serial else overlapping(row, START_NS):
            session.feed(line)
    session.feed('J {"event": "done"}')
    return session
