"""In CI a test may not be skipped in silence: what ``_ci_skips`` promises, seen from outside."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import _ci_skips

SUITE = """
import pytest

@pytest.mark.skip(reason="no such tool")
def test_marked():
    pass

@pytest.mark.parametrize("size", [1, 2])
def test_skips_itself(size):
    pytest.skip("no such machine")

@pytest.mark.xfail(reason="known", strict=True)
def test_expected_to_fail():
    assert False

def test_passes():
    pass
"""


def run_suite(directory: Path, ci: str, source: str, allowed: str = "") -> tuple[int, str]:
    """Run `source` as the only test module of a project with the guard: exit code, output."""
    (directory / "pytest.ini").write_text("[pytest]\naddopts = -ra -p no:cacheprovider\n")
    (directory / "conftest.py").write_text("from _ci_skips import pytest_configure\n")
    (directory / "_ci_skips.py").write_text(Path(_ci_skips.__file__).read_text())
    (directory / "test_suite.py").write_text(source)
    (directory / "allowed_skips.toml").write_text(allowed)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "test_suite.py"],
        cwd=directory,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return run.returncode, run.stdout + run.stderr


def test_a_skip_fails_in_ci(tmp_path: Path) -> None:
    """Marked and self-made skips fail with their reason; expected failures and passes stay."""
    code, output = run_suite(tmp_path, "true", SUITE)

    assert code == pytest.ExitCode.TESTS_FAILED
    assert "2 failed, 1 passed, 1 xfailed, 1 error" in output
    assert "no such tool" in output
    assert "no such machine" in output


def test_a_skipped_module_fails_in_ci(tmp_path: Path) -> None:
    """A module skipped as a whole counts too: it is the easiest skip to overlook."""
    code, output = run_suite(
        tmp_path, "1", "import pytest\npytest.importorskip('no_such_module')\n"
    )

    assert code != pytest.ExitCode.OK
    assert "1 error" in output
    assert "no_such_module" in output


def test_a_listed_skip_is_allowed_in_ci(tmp_path: Path) -> None:
    """One entry allows every parameter of the test it names, and no other test."""
    allowed = (
        '[[skip]]\ntest = "test_suite.py::test_skips_itself"\nreason = "needs a big machine"\n'
    )

    code, output = run_suite(tmp_path, "true", SUITE, allowed)

    assert code == pytest.ExitCode.TESTS_FAILED
    assert "1 passed, 2 skipped, 1 xfailed, 1 error" in output


def test_skips_are_free_outside_ci(tmp_path: Path) -> None:
    """A developer without some tool still gets a green run."""
    code, output = run_suite(tmp_path, "", SUITE)

    assert code == pytest.ExitCode.OK
    assert "1 passed, 3 skipped, 1 xfailed" in output


def test_an_allowed_skip_needs_a_reason(tmp_path: Path) -> None:
    """An entry without a reason stops the run instead of being believed."""
    code, output = run_suite(
        tmp_path, "true", SUITE, '[[skip]]\ntest = "test_suite.py::test_marked"\nreason = " "\n'
    )

    assert code == pytest.ExitCode.USAGE_ERROR
    assert "must have a test and a reason" in output


def test_this_suite_is_guarded(pytestconfig: pytest.Config) -> None:
    """The plugin is registered in this very run."""
    assert pytestconfig.pluginmanager.has_plugin(_ci_skips.SkipsAreFailures.name)
