"""`python -m benchmarks.plugin_truth`: the known suites, again and again, idle or overloaded.

Exit code 1 if an honest test failed, or a regression passed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.gil_truth.judge import BUSY_PROCESSES, load

SUITES = Path(__file__).with_name("suites.py")
WANTED = {"honest": "failed", "regression": "passed"}
"""What must never come of a test of each kind."""


class Outcomes:
    """Counts what became of the tests of all runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.counts: Counter[str] = Counter()
        """By kind and outcome, as in "honest passed"."""
        self.skipped: Counter[str] = Counter()
        """By test."""
        self.wrong: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome != "failed":
            return
        name = report.nodeid.rpartition("::")[2]
        kind = name.partition("_")[0]
        self.counts[f"{kind} {report.outcome}"] += 1
        if report.outcome == "skipped":
            self.skipped[name] += 1
        if report.outcome == WANTED[kind]:
            self.wrong.append(f"{name} {report.outcome}: {report.longreprtext}")

    def add(self, other: dict[str, object]) -> None:
        """Takes in what `--json` printed."""
        assert isinstance(other["runs"], int)
        assert isinstance(other["counts"], dict)
        assert isinstance(other["skipped"], dict)
        assert isinstance(other["wrong"], list)
        self.runs += other["runs"]
        self.counts.update(other["counts"])
        self.skipped.update(other["skipped"])
        self.wrong += other["wrong"]


def main() -> int:
    """Runs the suites, or reads earlier runs; prints what came of them."""
    options = _options()
    outcomes = Outcomes()
    for path in options.read:
        outcomes.add(json.loads(path.read_text()))
    if not options.read:
        with load(options.busy):
            _run(outcomes, options.runs, options.seconds)
    if options.json:
        print(json.dumps(vars(outcomes)))
        return bool(outcomes.wrong)
    print(f"Python {platform.python_version()}, {outcomes.runs} runs")
    for kind, never in WANTED.items():
        found = {
            name: outcomes.counts[f"{kind} {name}"] for name in ("passed", "failed", "skipped")
        }
        told = ", ".join(f"{number:,} {name}" for name, number in found.items())
        print(f"{kind} tests: {told} (must not have {never})")
    for name, number in outcomes.skipped.most_common():
        print(f"skipped, without a verdict: {name}, {number} of {outcomes.runs}")
    for complaint in outcomes.wrong:
        print(f"WRONG  {complaint}")
    return bool(outcomes.wrong)


def _run(outcomes: Outcomes, runs: int, seconds: float) -> None:
    options = [
        *_plugin_options(),
        *("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:run-parallel"),
        *("-o", "python_functions=honest_* regression_*", "-o", "addopts="),
        f"--rootdir={SUITES.parent}",
        str(SUITES),
    ]
    end = time.monotonic() + seconds
    while outcomes.runs < runs and time.monotonic() < end:
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            code = pytest.main(options, plugins=[outcomes])
        if code != pytest.ExitCode.TESTS_FAILED:  # the regressions see to it
            raise SystemExit(f"pytest ended with {code!r}:\n{told.getvalue()}")
        outcomes.runs += 1
        if sys.stderr.isatty():
            print(f"\r{outcomes.runs} runs", end="", file=sys.stderr, flush=True)


def _plugin_options() -> Iterator[str]:
    """Loads the plugin where it is not installed."""
    from importlib.metadata import entry_points

    if not any(entry.value == "pytest_gilpool.plugin" for entry in entry_points(group="pytest11")):
        yield from ("-p", "pytest_gilpool.plugin")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="plugin-truth", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="of the suites (default: 200)")
    parser.add_argument(
        "--seconds", type=float, default=3600.0, help="stop before a run that begins later"
    )
    parser.add_argument(
        "--busy",
        type=int,
        default=BUSY_PROCESSES,
        help=f"busy processes meanwhile (default: {BUSY_PROCESSES})",
    )
    parser.add_argument("--json", action="store_true", help="the outcomes, as JSON")
    parser.add_argument(
        "--read", action="append", default=[], type=Path, metavar="FILE", help="sum up JSON files"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
