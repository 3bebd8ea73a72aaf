"""In CI (``CI`` is set) a skipped test is a failure unless ``allowed_skips.toml`` lists it.

A test that quietly stops running proves nothing, and a missing tool is the usual cause. Outside CI,
and for tests that are expected to fail (``xfail``), nothing changes. ``conftest.py`` imports the
hook below.
"""

import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.toml")


def load_allowed_skips(path: Path) -> frozenset[str]:
    """Read the tests that may be skipped; each must say why.

    Raises:
        pytest.UsageError: an entry has no test or no reason, or says something else.
    """
    allowed = set()
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("skip", []):
        if set(entry) != {"test", "reason"} or not all(map(str.strip, entry.values())):
            raise pytest.UsageError(f"{path}: {entry} must have a test and a reason, nothing else")
        allowed.add(entry["test"])
    return frozenset(allowed)


class SkipsAreFailures:
    """Turns the report of a skip that is not allowed into that of a failure, with its reason."""

    name = "ci-skips"

    def __init__(self, allowed: frozenset[str], *, enforced: bool) -> None:
        self._allowed = allowed
        self._enforced = enforced

    def _judge(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.outcome != "skipped" or hasattr(report, "wasxfail") or not self._enforced:
            return
        test = report.nodeid.partition("[")[0]
        if test in self._allowed:
            return
        where, line, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, "")
        report.outcome = "failed"
        report.longrepr = (
            f"{where}:{line}: {reason or report.longrepr}\n"
            f"A skip is a failure in CI: make the test run, or list {test} in {ALLOWED_SKIPS.name}."
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Judge a test that skips itself or is skipped by a mark."""
        report = yield
        self._judge(report)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Judge a module that is skipped as a whole, as by ``importorskip``."""
        report = yield
        self._judge(report)
        return report


def pytest_configure(config: pytest.Config) -> None:
    """Guard this run; the list is read, and so checked, outside CI too."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    guard = SkipsAreFailures(load_allowed_skips(ALLOWED_SKIPS), enforced=in_ci)
    config.pluginmanager.register(guard, SkipsAreFailures.name)
