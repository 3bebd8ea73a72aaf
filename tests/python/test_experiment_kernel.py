"""`gilpool experiment --kernel`: the table with calls that compute, bounded by the cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from _experiment_lines import session_of
from gilpool import _core
from gilpool._cli.plot import title
from gilpool._cli.rows import Parameters, complaint, experiment_rows
from gilpool._cli.table import conclusion
from gilpool._kernel_calls import Material, calibrate

ROWS = experiment_rows(Parameters(threads=5, ms=100, kernel="count_primes", cores=2))


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gilpool", "experiment", "--no-progress", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_four_rows_know_what_the_cores_allow() -> None:
    assert [(row.runner, row.expected) for row in ROWS] == [
        ("threading.Thread", "released"),
        ("threading.Thread", "held"),
        ("gilpool.Pool", "released"),
        ("gilpool.Pool", "held"),
    ]
    assert ROWS[0].label == "5 x count_primes(release_gil=True)"
    assert ROWS[0].least_ratio == 2.5
    released, held = ROWS[:2]
    assert complaint(released, 2.6, "released", gil_enabled=True) is None
    assert "at most 3.25x" in (complaint(released, 3.3, "released", gil_enabled=True) or "")
    assert "at least 4.50x" in (complaint(held, 2.6, "held", gil_enabled=True) or "")
    assert complaint(held, 2.6, "released", gil_enabled=False) is None
    plenty = experiment_rows(Parameters(threads=5, kernel="busy", cores=8))
    assert plenty[0].least_ratio == 1.0


def test_sentences() -> None:
    session = session_of(ROWS)
    said = conclusion(session.results, gil_enabled=True)
    assert "share the cores" in said
    assert "2.50x is the least" in said
    assert "count_primes(release_gil=True)" in title(session.results[0])[0]


def test_a_real_run() -> None:
    done = run("--kernel", "busy", "--ms", "60", "--threads", "3", "--json")
    assert done.returncode in (0, 1), done.stderr  # a busy machine may miss the bounds
    data = json.loads(done.stdout)
    assert data["parameters"] == {"threads": 3, "ms": 60, "kernel": "busy"}
    assert [row["verdict"] for row in data["rows"]] == ["released", "held"] * 2
    for row in data["rows"]:
        assert len(row["timelines"]) == 3
    # Measured for each row, so no two are the same; a busy machine makes them longer or shorter.
    ideals = {row["ideal"] for row in data["rows"]}
    assert len(ideals) > 1
    assert min(ideals) > 0


def test_the_table_says_how_many_cores_there_are() -> None:
    done = run("--kernel", "sha256", "--ms", "20", "--threads", "2")
    assert done.returncode in (0, 1), done.stderr
    assert f"{len(os.sched_getaffinity(0))} core" in done.stdout
    assert "2 x sha256(release_gil=False)" in done.stdout


def test_wrong_usage() -> None:
    assert run("--kernel", "no_such").returncode == 2
    assert run("--kernel", "busy", "--seed-style").returncode == 2


def test_calibration_comes_near() -> None:
    busy = _core._kernels["busy"]
    with Material() as material:
        n = calibrate(busy, material, 5)
        # Microseconds of CPU time; a call takes longer, and n is smaller, on a busy machine.
        assert 100 <= n <= 5.5e3
