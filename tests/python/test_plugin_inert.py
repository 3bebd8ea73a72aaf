"""The plugin costs a run that does not use it nothing, and is known to pytest by every name."""

import pytest

from _plugin_runs import run, run_process
from conftest import Script

pytest_plugins = ("pytester",)


def test_importing_the_plugin_loads_neither_gilpool_nor_anything_heavy(run_script: Script) -> None:
    """Beside pytest, which is there already, it brings its own few modules and none more."""
    result = run_script(
        """
        import sys, unittest, warnings
        import pytest
        before = set(sys.modules)
        import pytest_gilpool.plugin
        brought = {name for name in set(sys.modules) - before}
        assert all(name.partition(".")[0] == "pytest_gilpool" for name in brought), brought
        """
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_a_run_that_does_not_use_it_never_loads_gilpool(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_plain():
            assert not [name for name in sys.modules if name.partition(".")[0] == "gilpool"]
        """
    )

    result = run_process(pytester)

    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*GIL verdicts*")


def test_pytest_lists_the_fixture_the_marker_and_the_options(pytester: pytest.Pytester) -> None:
    run(pytester, "--fixtures").stdout.fnmatch_lines(["gil -- *", "*Assertions about the GIL."])
    run(pytester, "--markers").stdout.fnmatch_lines(
        ["@pytest.mark.releases_gil(min_released=0.5):*"]
    )
    run(pytester, "--help").stdout.fnmatch_lines(
        ["*--gil-inconclusive=*", "*--gil-budget=SECONDS*", "*gil_inconclusive*", "*gil_budget*"]
    )


def test_gilpool_may_be_imported_before_pytest_starts(run_script: Script) -> None:
    """pytest rewrites the asserts of plugins, and warns when one is there before; not here."""
    result = run_script(
        """
        import os, gilpool, pytest_gilpool, pytest
        here = os.path.dirname(__file__)
        options = ["-p", "no:cacheprovider", "--collect-only", "-W", "error"]
        raise SystemExit(pytest.main([f"--rootdir={here}", *options, here]))
        """
    )

    assert result.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, result.stdout + result.stderr
