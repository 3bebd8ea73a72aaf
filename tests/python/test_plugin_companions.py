"""The plugin beside the others that people run: xdist, cov, timeout, run-parallel."""

import json

import pytest

from _plugin_runs import TOO_SHORT, module, run_process

pytest_plugins = ("pytester",)

TESTS = """
    def test_releases(gil):
        gil.assert_releases(nap, 1000)

    def test_holds(gil):
        gil.assert_holds(held_nap, 1000)

    @pytest.mark.releases_gil
    def test_marked():
        nap(1000)

    def test_parallel(gil):
        gil.assert_parallel(nap, 20_000)

    def test_regression(gil):
        gil.assert_releases(held_nap, 1000)
"""
VERDICTS = [
    "*= GIL verdicts =*",
    "releases *::test_releases",
    "holds *::test_holds",
    "releases *::test_marked",
    "releases *::test_parallel  (5 threads ?.??x one*)",
    "holds *::test_regression  FAILED",
]


@pytest.mark.slow
def test_under_xdist_the_verdicts_travel_to_the_controller(pytester: pytest.Pytester) -> None:
    module(pytester, TESTS)

    result = run_process(pytester, "-p", "no:run-parallel", "-n2")

    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines_random(VERDICTS)


def test_under_xdist_the_options_reach_the_workers(pytester: pytest.Pytester) -> None:
    module(
        pytester,
        """
        def test_it(gil):
            gil.assert_releases(held_nap, 1000)
        """,
    )

    result = run_process(
        pytester, "-p", "no:run-parallel", "-n1", TOO_SHORT, "--gil-inconclusive=fail"
    )

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["inconclusive *::test_it *"])


def test_under_coverage_the_verdicts_stay_and_the_lines_count(pytester: pytest.Pytester) -> None:
    """The tracer runs in every call of the body; it is C code that holds the GIL as Python does."""
    module(pytester, TESTS)
    module(
        pytester,
        """
        def work(x):
            if x:
                return sum(range(10_000))
            return 0

        def test_python(gil):
            gil.assert_holds(work, 1)
        """,
        name="test_lines",
    )

    result = run_process(
        pytester, "-p", "no:run-parallel", "--cov=.", "--cov-report=json", "--cov-branch"
    )

    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(VERDICTS)
    lines = json.loads((pytester.path / "coverage.json").read_text())["files"]["test_lines.py"]
    source = (pytester.path / "test_lines.py").read_text().splitlines()
    assert source.index("        return sum(range(10_000))") + 1 in lines["executed_lines"]
    assert [source[number - 1].strip() for number in lines["missing_lines"]][-1:] == ["return 0"]


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_under_a_timeout_that_is_kept_nothing_changes(
    pytester: pytest.Pytester, method: str
) -> None:
    module(pytester, TESTS)

    result = run_process(
        pytester, "-p", "no:run-parallel", "--timeout=50", f"--timeout-method={method}"
    )

    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(VERDICTS)


@pytest.mark.parametrize("endless", ["crunch_for_ever", "sleep_for_ever"])
def test_a_timeout_by_signal_ends_the_call_and_restores_the_interpreter(
    pytester: pytest.Pytester, endless: str
) -> None:
    module(
        pytester,
        f"""
        import gc, sys

        INTERVAL = sys.getswitchinterval()

        def crunch_for_ever():
            while True:
                pass

        def sleep_for_ever():
            while True:
                time.sleep(0.01)

        @pytest.mark.timeout(1, method="signal")
        def test_endless(gil):
            gil.assert_holds({endless})

        def test_the_interpreter_is_as_it_was(gil):
            assert sys.getswitchinterval() == INTERVAL
            assert gc.isenabled()
            gil.assert_releases(nap, 1000)
        """,
    )

    result = run_process(pytester, "-p", "no:run-parallel", timeout=30)

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E *Failed: Timeout (*1*"])


def test_a_timeout_by_thread_ends_the_process(pytester: pytest.Pytester) -> None:
    """Its timer is a Python thread, which a measurement must not keep from the GIL."""
    module(
        pytester,
        """
        def sleep_for_ever():
            while True:
                time.sleep(0.01)

        @pytest.mark.timeout(1, method="thread")
        def test_endless(gil):
            gil.assert_holds(sleep_for_ever)
        """,
    )

    result = run_process(pytester, "-p", "no:run-parallel", timeout=30)

    assert result.ret == 1
    assert "Timeout" in result.stdout.str() + result.stderr.str()
    assert "sleep_for_ever" in result.stdout.str() + result.stderr.str()


def test_run_parallel_leaves_these_tests_on_one_thread(pytester: pytest.Pytester) -> None:
    module(
        pytester,
        TESTS
        + """
    def test_any_thread():
        pass
""",
    )

    result = run_process(pytester, "--parallel-threads=4", "-v")

    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["Collected 1 items to run in parallel"])
    result.stdout.fnmatch_lines(["*::test_any_thread PARALLEL PASSED*"])
    result.stdout.fnmatch_lines(["*::test_releases PASSED ?thread-unsafe?: judges the GIL*"])
    result.stdout.fnmatch_lines(["*::test_marked PASSED ?thread-unsafe?: judges the GIL*"])
    result.stdout.fnmatch_lines(VERDICTS)


def test_without_a_gil_the_verdicts_are_called_vacuous(pytester: pytest.Pytester) -> None:
    """As on a free-threaded build: what would prove a hold is skipped, the rest is called once."""
    pytester.makeconftest(
        """
        import sys

        import gilpool  # which refuses to be loaded without a GIL

        sys._is_gil_enabled = lambda: False
        """
    )
    module(pytester, TESTS)

    result = run_process(pytester, "-p", "no:run-parallel")

    result.assert_outcomes(passed=4, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "no GIL *::test_releases",
            "no GIL *::test_holds",
            "no GIL *::test_marked",
            "*::test_parallel  (5 threads ?.??x one*)",
            "no GIL *::test_regression",
            "This interpreter runs without the GIL, so these verdicts are vacuous*",
        ]
    )
