"""The native contests, with and without the compiled program, and with one that cheats."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import catalogue
from benchmarks.cpp import compare, program
from benchmarks.declare import Contestant, Group, Size, UnavailableError
from benchmarks.harness import Harness
from benchmarks.results import ContestantResult, Status

ROOT = Path(__file__).resolve().parents[2]


def test_without_the_program_every_row_says_so_and_the_exit_code_too(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "cpp", "--quick", "--rounds", "1", "--json"],
        cwd=ROOT,
        env={**os.environ, program.VARIABLE: str(tmp_path / "absent")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    (benchmark,) = json.loads(done.stdout)["benchmarks"]
    rows = [row for group in benchmark["groups"] for row in group["contestants"]]
    assert {row["status"] for row in rows} == {"missing"}
    assert {row["reason"] for row in rows} == {f"not built: {program.HOW_TO_BUILD}"}


def test_the_targets_are_those_of_the_project() -> None:
    targets = {
        group.title: {target.text for target in group.targets}
        for group in catalogue.load("cpp").groups(Size.FULL)
    }

    per_task = {f"ns_per_task <= 1.3x of {peer}" for peer in ("tbb", "concurrentqueue", "textbook")}
    p99 = {f"p99 <= 1.3x of {peer}" for peer in ("tbb", "concurrentqueue", "textbook")}
    own = {"ns_per_task <= 120", "ns_per_task <= 0.75x of textbook"}
    assert targets["empty task, one submitter"] == own | per_task
    assert targets["empty task, four submitters"] == own | per_task
    assert targets["empty task, submitted 64 at a time"] == {"ns_per_task <= 60"} | per_task
    assert targets["round trip, back to back"] == {"p50 <= 8"} | p99
    assert targets["round trip after 1 ms idle"] == p99
    assert targets["1,000,000 sleeps of 1 s"] == {"wall <= 1.3", "megabytes <= 40"}
    assert targets["100,000 sleeps of 1 s"] == {"wall <= 1.05"}


Fake = Callable[[str], None]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Puts a script in the place of the compiled program."""

    def put(body: str) -> None:
        file = tmp_path / "gilpool_bench"
        file.write_text(f"#!{sys.executable}\nimport json, sys\n{body}\n")
        file.chmod(0o755)
        monkeypatch.setenv(program.VARIABLE, str(file))
        monkeypatch.setattr(program, "PATIENCE", 0.0)

    return put


def row() -> ContestantResult:
    contest = next(contest for contest in compare.CONTESTS if contest.name == "round_trip_hot")
    group = contest.group(Size.QUICK)
    ours = group.contestants[0]
    assert isinstance(ours, Contestant)
    return Harness(settle=lambda: None).run_group(Group("one", (ours,), peer=ours.name), 1)[
        ours.name
    ]


def test_the_program_is_asked_for_one_contestant_and_its_counters_are_the_figures(
    fake: Fake,
) -> None:
    fake(
        'assert sys.argv[1] == "--benchmark_filter=^round_trip_hot/gilpool_task/5000/", sys.argv\n'
        'print(json.dumps({"benchmarks": [{"real_time": 250.0, "p50": 0.4, "iterations": 1}]}))'
    )

    result = row()

    assert result.status is Status.OK, result.reason
    (counted,) = (sample.figures for sample in result.samples if sample.counted)
    assert counted["p50"] == 0.4
    assert counted["wall"] == 0.25
    assert "iterations" not in counted


def test_a_row_that_the_program_itself_calls_dishonest_is_invalid(fake: Fake) -> None:
    fake('print(json.dumps({"benchmarks": [{"error_message": "3 tasks ran on the submitter"}]}))')

    result = row()

    assert result.status is Status.INVALID
    assert "3 tasks ran on the submitter" in result.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('sys.stderr.write("out of luck"); sys.exit(3)', "ended with 3"),
        ('print("{}")', "matches 0 benchmarks"),
    ],
)
def test_a_program_that_fails_fails_its_row(fake: Fake, body: str, reason: str) -> None:
    fake(body)

    result = row()

    assert result.status is Status.FAILED
    assert reason in result.reason


def test_a_missing_program_is_a_missing_peer_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(program.VARIABLE, str(tmp_path))

    with pytest.raises(UnavailableError, match=r"not built: \./run bench cpp"):
        program.program()
