"""What was measured is told alike as table, JSON and picture, with its machine beside it."""

from __future__ import annotations

import io
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from _bench_fakes import Scene, fake_benchmark
from benchmarks import machine
from benchmarks.declare import (
    Check,
    Contestant,
    Group,
    Metric,
    Requirement,
    Size,
    Target,
    Tuned,
)
from benchmarks.export import document
from benchmarks.machine import Machine
from benchmarks.plot import draw_bars, save_plot
from benchmarks.progress import Bar, Lines, display
from benchmarks.report import plain, print_report, table_of
from benchmarks.results import BenchmarkResult

HOST = Machine("A CPU", 2.0, "6.1", "3.11.7", True, {"gevent": "26.9.0", "absent": None}, 0.25)

MICROSECONDS = Metric("wall", "us per task", scale=1e6 / 1000, digits=1)


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def usual_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rich reads from the environment, whatever terminal the tests run in."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def result() -> BenchmarkResult:
    """One row of every kind: peer, ours, invalid, failed, missing, tuned."""
    scene = Scene()
    missing = Requirement("no_such_package_here", "pip install no-such-package")
    rows = (
        scene.contestant("peer", [9, 2, 4, 3]),
        scene.contestant("own", [9, 1, 2, 1.8], ours=True),
        scene.contestant("cheat", 0.1, checks=(Check("it ran", lambda _: "it did not"),)),
        Contestant("broken", lambda: next(iter(()))),
        Contestant("absent", lambda: None, requires=(missing,)),
        Tuned("tuned", (scene.contestant("width 8", 5.0), scene.contestant("width 9", 6.0))),
    )
    targets = (
        Target("own", at_most=0.5, versus="peer"),
        Target("own", at_most=1.5),
        Target("absent", at_most=1.5),
    )
    group = Group(
        "some work", rows, peer="peer", ideal=1.5, metrics=(MICROSECONDS,), targets=targets,
        note="a remark",
    )  # fmt: skip
    return scene.harness.run(fake_benchmark(group), Size.QUICK, rounds=3)


def report(result: BenchmarkResult, stream: io.StringIO) -> str:
    print_report([result], HOST, load_end=0.5, stream=stream)
    return stream.getvalue()


def test_the_table_has_a_row_per_contestant_with_median_min_ratio_and_ideal(
    result: BenchmarkResult,
) -> None:
    table = table_of(result.groups[0])

    assert table.columns == [
        "contestant", "us per task", "min", "ratio to peer (spread)", "of ideal",
        "cpu s", "vol. csw", "invol. csw",
    ]  # fmt: skip
    usage = ["0.000", "0", "0"]
    blank = [""] * 6
    assert table.rows == [
        ["peer", "3,000.0", "2,000.0", "peer", "2.000x", *usage],
        ["own", "1,800.0", "1,000.0", "0.500x (0.500-0.600)", "1.200x", *usage],
        ["cheat", "100.0", "100.0", "INVALID", "0.067x", *usage],
        ["broken", "FAILED", *blank],
        ["absent", "not installed", *blank],
        ["tuned = width 8", "5,000.0", "5,000.0", "1.667x (1.250-2.500)", "3.333x", *usage],
    ]


def test_plain_text_is_aligned_and_says_everything(result: BenchmarkResult) -> None:
    text = report(result, io.StringIO())

    assert "\x1b" not in text
    drawn = plain(table_of(result.groups[0])).splitlines()
    ends = {line.index("us per task") + len("us per task") for line in drawn[1:2]}
    assert {drawn[3].index("3,000.0") + 7, drawn[4].index("1,800.0") + 7} == ends
    for line in (
        "A fake benchmark [quick]",
        "  a remark",
        "  INVALID: cheat: not so: it ran (round 0: it did not)",
        "  FAILED: broken: round 0: StopIteration: ",
        "  not installed: absent: pip install no-such-package",
        "  target pass: own: wall <= 0.5x of peer (is 0.5)",
        "  target miss: own: wall <= 1.5 (is 1.8)",
        "  target not measured: absent: wall <= 1.5",
        "A CPU | 2 usable cores | Linux 6.1 | Python 3.11.7 | gevent 26.9.0"
        " | load average 0.25 -> 0.50",
    ):
        assert line in text.splitlines()


def test_on_a_terminal_rich_draws_the_same_figures(result: BenchmarkResult) -> None:
    pytest.importorskip("rich")
    text = report(result, Terminal())

    for piece in ("some work", "0.500x (0.500-0.600)", "not installed", "target pass", "A CPU"):
        assert piece in text
    assert "\x1b[" in text


@pytest.mark.parametrize(("width", "all_columns"), [(80, False), (120, True)])
def test_a_narrow_terminal_shows_the_figures_and_leaves_the_usage_out(
    result: BenchmarkResult, monkeypatch: pytest.MonkeyPatch, width: int, all_columns: bool
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("COLUMNS", str(width))
    text = report(result, Terminal())

    assert "0.500x (0.500-0.600)" in text
    assert ("invol. csw" in text) is all_columns


def test_without_rich_a_terminal_gets_plain_text(
    result: BenchmarkResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)

    assert report(result, Terminal()) == report(result, io.StringIO())


def test_json_has_the_promised_shape_and_every_round(result: BenchmarkResult) -> None:
    made = document([result], HOST, load_end=0.5, started="2026-01-01T00:00:00+00:00")
    read: dict[str, Any] = json.loads(json.dumps(made, allow_nan=False))

    assert list(read) == [
        "schema", "schema_version", "started", "machine", "benchmarks", "honest", "on_target",
    ]  # fmt: skip
    assert (read["schema"], read["schema_version"]) == ("gilpool-benchmarks", 1)
    assert (read["honest"], read["on_target"]) == (False, False)
    assert set(read["machine"]) == {
        "cpu", "cores", "kernel", "python", "gil", "versions", "load_start", "load_end", "warning",
    }  # fmt: skip
    (benchmark,) = read["benchmarks"]
    assert set(benchmark) == {"name", "title", "size", "groups"}
    (group,) = benchmark["groups"]
    assert set(group) == {
        "title", "note", "peer", "ideal", "metrics", "contestants", "targets",
    }  # fmt: skip
    for row in group["contestants"]:
        assert set(row) == {
            "name", "ours", "isolated", "status", "reason", "details", "chosen", "candidates",
            "checks", "figures", "ratio", "samples",
        }  # fmt: skip
    rows = {row["name"]: row for row in group["contestants"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "peer": "ok", "own": "ok", "cheat": "invalid", "broken": "failed", "absent": "missing",
        "tuned": "ok",
    }  # fmt: skip
    assert rows["own"]["ratio"] == {"median": 0.5, "low": 0.5, "high": 0.6, "rounds": 3}
    assert rows["own"]["figures"]["wall"] == {"median": 1.8, "low": 1, "high": 2, "rounds": 3}
    samples = rows["own"]["samples"]
    assert [s["figures"]["wall"] for s in samples] == [9, 1, 2, 1.8]
    assert [s["counted"] for s in samples] == [False, True, True, True]
    assert rows["cheat"]["checks"] == [
        {"name": "it ran", "passed": False, "failure": "round 0: it did not"}
    ]
    assert rows["tuned"]["candidates"] == {"width 8": 5, "width 9": 6}
    assert [t["verdict"] for t in group["targets"]] == ["pass", "miss", "not measured"]
    assert set(group["targets"][0]) == {
        "contestant", "at_most", "at_least", "versus", "metric", "label", "text", "verdict",
        "figure",
    }  # fmt: skip


def test_the_picture_has_a_bar_or_a_word_for_every_contestant(result: BenchmarkResult) -> None:
    figure_module = pytest.importorskip("matplotlib.figure")
    figure = figure_module.Figure(figsize=(9, 5))
    draw_bars(figure, result)

    (axes,) = figure.axes
    assert [round(bar.get_width()) for bar in axes.patches] == [3000, 1800, 100, 5000]
    texts = [text.get_text() for text in axes.texts]
    for text in ("failed", "not installed", "INVALID", "peer", "0.500x (0.500-0.600)", "ideal"):
        assert text in texts
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["peer", "own", "cheat", "broken", "absent", "tuned = width 8"]


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_picture_is_saved_in_the_format_of_its_suffix(
    result: BenchmarkResult, tmp_path: Path, suffix: str, magic: bytes
) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / f"plot.{suffix}"
    save_plot(result, HOST, file)

    assert file.read_bytes().startswith(magic)


def test_a_busy_machine_is_pointed_out() -> None:
    busy = Machine("A CPU", 2.0, "6.1", "3.13.0", False, {}, load_start=1.5)

    assert HOST.busy(load_end=9.0) is None
    assert "load average 1.50 at the start, 3.00 at the end" in str(busy.busy(load_end=3.0))
    assert busy.line == "A CPU | 2 usable cores | Linux 6.1 | Python 3.13.0 without GIL"


def test_this_machine_is_described() -> None:
    here = machine.describe(["pytest", "no-such-distribution", "pytest"])

    assert here.cpu
    assert here.cores > 0
    assert here.versions == {"pytest": pytest.__version__, "no-such-distribution": None}


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "25000 100000"}, 0.25),
        ("0::/a", {"a/cpu.max": "max 100000"}, None),
        (
            "3:cpu,cpuacct:/a",
            {"cpu/a/cpu.cfs_quota_us": "50000", "cpu/a/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        ("3:cpu:/a", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, None),
        ("4:memory:/a", {"cpu/a/cpu.cfs_quota_us": "1", "cpu/a/cpu.cfs_period_us": "2"}, None),
    ],
)
def test_usable_cores_obey_the_tightest_cgroup_quota(
    tmp_path: Path, membership: str, files: dict[str, str], cores: float | None
) -> None:
    proc = tmp_path / "proc"
    proc.mkdir()
    proc.joinpath("cgroup").write_text(f"{membership}\n")
    for name, text in files.items():
        file = tmp_path / "cgroups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")

    unlimited = machine.usable_cores(proc=tmp_path / "nowhere")
    assert machine.usable_cores(proc, tmp_path / "cgroups") == (cores or unlimited)


def test_progress_on_a_terminal_draws_between_runs_and_starts_no_thread() -> None:
    pytest.importorskip("rich")
    stream = Terminal()
    before = threading.active_count()
    with display(stream) as progress:
        assert isinstance(progress, Bar)
        progress.group("some [work]", 2)
        progress.run("peer", 0, 1)
        drawn = len(stream.getvalue())
        assert threading.active_count() == before
        progress.run("own", 1, 1)
        assert len(stream.getvalue()) > drawn

    text = stream.getvalue()
    assert "some [work] | warm-up round | peer" in text
    assert "round 1 of 1 | own" in text


def test_progress_in_a_log_is_one_line_per_group() -> None:
    stream = io.StringIO()
    with display(stream) as progress:
        assert isinstance(progress, Lines)
        progress.group("some work", 2)
        progress.run("peer", 0, 1)

    assert stream.getvalue() == "running: some work (2 runs)\n"
