"""The fixture `gil`: a deliberate regression turns red, an honest call green; both are listed."""

import pytest

from _plugin_runs import TOO_SHORT, module, run

pytest_plugins = ("pytester",)


def test_each_assertion_passes_on_a_call_of_its_kind(pytester: pytest.Pytester) -> None:
    module(
        pytester,
        """
        def test_releases(gil):
            assert gil.assert_releases(nap, 1000).verdict == "releases"

        def test_holds(gil):
            assert gil.assert_holds(held_nap, 1000).verdict == "holds"

        def test_pure_python_holds(gil):
            gil.assert_holds(crunch)

        def test_max_hold(gil):
            gil.assert_max_hold(held_nap, 1000, max_ms=500)

        def test_report(gil):
            assert gil.report(nap, 1000).verdict == "releases"
            assert gil.report(held_nap, 1000).verdict == "holds"

        def test_keyword_arguments_reach_the_call(gil):
            gil.assert_releases(lambda *, us: nap(us), us=1000)
        """,
    )

    result = run(pytester)

    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(
        [
            "*= GIL verdicts =*",
            "releases *::test_releases",
            "holds *::test_holds",
            "holds * test_it.crunch *::test_pure_python_holds",
            "holds *::test_max_hold  (held for *",
            "releases *::test_report",
            "holds *::test_report",
            "releases *::test_keyword_arguments_reach_the_call",
        ]
    )


@pytest.mark.parametrize(
    ("assertion", "verdict"),
    [
        ("assert_releases(held_nap, 1000)", "holds"),
        ("assert_releases(crunch)", "holds"),
        ("assert_releases(gilpool.sleep_gil, 1)", "holds"),
        ("assert_holds(nap, 1000)", "releases"),
        ("assert_max_hold(held_nap, 20_000, max_ms=1)", "holds"),
        ("assert_parallel(held_nap, 1000)", "holds"),
        ("assert_parallel(nap_behind_a_lock)", "releases"),
        ("assert_serialized(nap, 20_000)", "releases"),
        ("assert_serialized(digest)", "releases"),
    ],
)
def test_a_regression_turns_red(pytester: pytest.Pytester, assertion: str, verdict: str) -> None:
    """Whoever makes a releasing function hold the GIL, or the reverse, is told by a failed test."""
    module(
        pytester,
        f"""
        import gilpool

        def test_it(gil):
            gil.{assertion}
        """,
    )

    result = run(pytester)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"> *gil.{assertion}", "E  *Error: *", f"{verdict} *::test_it  FAILED*"]
    )


def test_what_the_call_raises_ends_the_test(pytester: pytest.Pytester) -> None:
    """An assertion of the call is the call's: no verdict is claimed, and its own frame is shown."""
    module(
        pytester,
        """
        def broken():
            assert 1 == 2

        @pytest.mark.parametrize("assertion", ["report", "assert_releases", "assert_parallel"])
        def test_it(gil, assertion):
            getattr(gil, assertion)(broken)
        """,
    )

    result = run(pytester)

    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(["> *assert 1 == 2"])
    result.stdout.no_fnmatch_line("*GIL verdicts*")


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        ("assert_releases(3)", "*TypeError: *"),
        ("assert_releases(coroutine)", "*TypeError: *"),
        ("assert_parallel(coroutine)", "*TypeError: *"),
        ("assert_releases(nap, 1, min_released=2)", "*ValueError: min_released must be *, not 2"),
        ("assert_max_hold(nap, 1, max_ms=0)", "*ValueError: max_ms must be positive, not 0"),
        ("assert_max_hold(nap, 1, max_ms=1, tries=0)", "*ValueError: tries must be at least 1*"),
        ("assert_parallel(nap, 1, threads=1)", "*ValueError: threads must be at least 2, not 1"),
        (
            "assert_serialized(nap, 1000, threads=True)",
            "*TypeError: threads must be an int, not bool",
        ),
        (
            "assert_parallel(nap, 1000, threads=2.5)",
            "*TypeError: threads must be an int, not float",
        ),
    ],
)
def test_mistakes_are_named(pytester: pytest.Pytester, mistake: str, complaint: str) -> None:
    module(
        pytester,
        f"""
        async def coroutine():
            pass

        def test_it(gil):
            gil.{mistake}
        """,
    )

    result = run(pytester)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E {complaint}"])


@pytest.mark.parametrize(
    ("options", "outcome"),
    [
        ((), "skipped"),
        (("--gil-inconclusive=skip",), "skipped"),
        (("--gil-inconclusive=fail",), "failed"),
        (("-o", "gil_inconclusive=fail"), "failed"),
        (("-o", "gil_inconclusive=fail", "--gil-inconclusive=warn"), "passed"),
    ],
)
def test_inconclusive_means_what_the_user_wants(
    pytester: pytest.Pytester, options: tuple[str, ...], outcome: str
) -> None:
    module(
        pytester,
        """
        def test_it(gil):
            gil.assert_releases(held_nap, 1000)
        """,
    )

    result = run(pytester, TOO_SHORT, "-W", "default", "-rs", *options)

    result.assert_outcomes(**{outcome: 1}, **({"warnings": 1} if outcome == "passed" else {}))
    result.stdout.fnmatch_lines(["*no verdict on the GIL for *: ?*"])
    result.stdout.fnmatch_lines(["inconclusive *::test_it *(?*)"])


def test_a_warning_names_the_line_of_the_test(pytester: pytest.Pytester) -> None:
    module(
        pytester,
        """
        from pytest_gilpool import GilInconclusiveWarning

        def test_it(gil):
            with pytest.warns(GilInconclusiveWarning) as caught:
                gil.assert_holds(held_nap, 1000)
            assert caught[0].filename == __file__

        def test_overlap(gil):
            with pytest.warns(GilInconclusiveWarning) as caught:
                overlap = gil.assert_serialized(crunch)
            assert caught[0].filename == __file__
            assert (overlap.ratio, overlap.timed) == (None, False)
        """,
    )

    run(pytester, TOO_SHORT, "--gil-inconclusive=warn").assert_outcomes(passed=2)


def test_a_report_is_never_a_reason_to_skip(pytester: pytest.Pytester) -> None:
    module(
        pytester,
        """
        def test_it(gil):
            assert gil.report(held_nap, 1000).verdict == "inconclusive"
        """,
    )

    run(pytester, TOO_SHORT).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("gil_inconclusive=maybe", "gil_inconclusive must be one of skip, fail, warn, not 'maybe'"),
        ("gil_budget=soon", "gil_budget must be a number of seconds above 0, not 'soon'"),
        ("gil_budget=nan", "gil_budget must be a number of seconds above 0, not 'nan'"),
        ("gil_budget=0", "gil_budget must be a number of seconds above 0, not '0'"),
    ],
)
def test_wrong_options_are_refused(pytester: pytest.Pytester, option: str, complaint: str) -> None:
    result = run(pytester, "-o", option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {complaint}"])
