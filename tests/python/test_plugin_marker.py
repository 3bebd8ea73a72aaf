"""The marker `releases_gil`: the test's body is the call, and a wrong marker is an error."""

import pytest

from _plugin_runs import TOO_SHORT, module, run

pytest_plugins = ("pytester",)


def test_the_body_is_judged(pytester: pytest.Pytester) -> None:
    module(
        pytester,
        """
        @pytest.mark.releases_gil
        def test_releases():
            nap(1000)

        @pytest.mark.releases_gil(min_released=0.1)
        @pytest.mark.parametrize("us", [500, 1000])
        def test_with_fixtures(tmp_path, us):
            assert tmp_path.exists()
            nap(us)

        class TestMethods:
            pytestmark = pytest.mark.releases_gil(min_released=0)

            def test_method(self):
                nap(1000)

        @pytest.mark.releases_gil
        def test_holds():
            held_nap(1000)

        @pytest.mark.releases_gil(min_released=0.9)
        def test_releases_too_little():
            held_nap(1000)
            nap(100)

        def test_unmarked():
            held_nap(1)
        """,
    )

    result = run(pytester)

    result.assert_outcomes(passed=5, failed=2)
    result.stdout.fnmatch_lines(
        [
            "releases *::test_releases",
            "releases *::test_with_fixtures?500?",
            "releases *::test_with_fixtures?1000?",
            "releases *::test_method",
            "holds *::test_holds  FAILED",
            "releases *::test_releases_too_little  FAILED",
        ]
    )
    result.stdout.no_fnmatch_line("*All traceback entries are hidden*")


def test_a_failing_body_fails_as_ever(pytester: pytest.Pytester) -> None:
    module(
        pytester,
        """
        @pytest.mark.releases_gil
        def test_it():
            nap(1)
            assert 1 == 2

        @pytest.mark.releases_gil
        def test_skips():
            pytest.skip("not today")
        """,
    )

    result = run(pytester, "-rs")

    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.fnmatch_lines([">       assert 1 == 2", "*not today"])


def test_an_inconclusive_body_is_skipped(pytester: pytest.Pytester) -> None:
    module(
        pytester,
        """
        @pytest.mark.releases_gil
        def test_it():
            held_nap(1000)
        """,
    )

    run(pytester, TOO_SHORT).assert_outcomes(skipped=1)
    run(pytester, TOO_SHORT, "--gil-inconclusive=fail").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("(0.5)", "takes min_released= and nothing else, not 0.5"),
        ("(at_least=0.5)", "takes min_released= and nothing else, not at_least"),
        ("(min_released=1.5)", "min_released must be a fraction from 0 to 1, not 1.5"),
        ("(min_released=float('nan'))", "min_released must be a fraction from 0 to 1, not nan"),
        ("(min_released=True)", "min_released must be a fraction from 0 to 1, not True"),
        ("(min_released='half')", "min_released must be a fraction from 0 to 1, not 'half'"),
    ],
)
def test_wrong_arguments_are_errors(
    pytester: pytest.Pytester, arguments: str, complaint: str
) -> None:
    module(
        pytester,
        f"""
        @pytest.mark.releases_gil{arguments}
        def test_it():
            nap(1000)
        """,
    )

    result = run(pytester)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"@pytest.mark.releases_gil*{complaint}"])


def test_what_cannot_be_called_by_pytest_is_an_error(pytester: pytest.Pytester) -> None:
    """A mark that would be ignored in silence proves nothing."""
    module(
        pytester,
        """
        pytestmark = pytest.mark.releases_gil

        async def test_coroutine():
            nap(1000)

        class TestUnittest(unittest.TestCase):
            def test_method(self):
                nap(1000)
        """,
    )

    result = run(pytester)

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        ["*cannot mark a coroutine function*", "*cannot mark a method of a unittest.TestCase*"]
    )
