"""`assert_parallel`, `assert_serialized`: proofs where there are any, times of calls that wait."""

import pytest

from _plugin_runs import TOO_SHORT, module, run

pytest_plugins = ("pytester",)


def test_calls_that_wait_are_timed_and_others_are_not(pytester: pytest.Pytester) -> None:
    module(
        pytester,
        """
        def test_wait_in_parallel(gil):
            overlap = gil.assert_parallel(nap, 20_000)
            assert overlap.timed and overlap.ratio <= 1.5 and 1 <= overlap.tries <= 3
            assert overlap.threads == 5

        def test_serialized_by_a_lock(gil):
            overlap = gil.assert_serialized(nap_behind_a_lock, threads=3)
            assert overlap.timed and overlap.ratio >= 2.7

        def test_held_wait(gil):
            assert not gil.assert_serialized(held_nap, 1000).timed

        def test_computing_with_the_gil(gil):
            assert not gil.assert_serialized(crunch).timed

        def test_computing_without_the_gil(gil):
            overlap = gil.assert_parallel(digest, threads=2)
            assert not overlap.timed and overlap.ratio is None
            assert overlap.report.released >= 0.5
        """,
    )

    result = run(pytester)

    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(
        [
            "releases *::test_wait_in_parallel  (5 threads ?.??x one*)",
            "releases *::test_serialized_by_a_lock  (3 threads ?.??x one*)",
            "holds *::test_held_wait  (5 threads, not timed)",
            "holds *::test_computing_with_the_gil  (5 threads, not timed)",
            "releases *::test_computing_without_the_gil  (2 threads, not timed)",
        ]
    )


def test_every_try_of_a_failure_is_printed(pytester: pytest.Pytester) -> None:
    module(
        pytester,
        """
        def test_it(gil):
            gil.assert_parallel(nap_behind_a_lock)
        """,
    )

    result = run(pytester)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *5 threads calling test_it.nap_behind_a_lock do not run side by side",
            *(
                f"E *try {number} of 3: 5 threads 0.* s, one alone 0.* and 0.* s: ?.??x (*wanted)"
                for number in (1, 2, 3)
            ),
            "*Captured stdout call*",
            "test_it.nap_behind_a_lock: try 1 of 3: *",
        ]
    )


def test_a_long_wait_that_cannot_be_proved_to_hold_is_timed(pytester: pytest.Pytester) -> None:
    """The budget may be too small for the report's rounds; timing then decides."""
    module(
        pytester,
        """
        def test_it(gil):
            overlap = gil.assert_serialized(held_nap, 20_000)
            assert overlap.report.verdict == "inconclusive"
            assert overlap.timed and overlap.ratio >= 4.5
        """,
    )

    run(pytester, TOO_SHORT).assert_outcomes(passed=1)


def test_a_call_that_computes_is_parallel_only_if_its_held_parts_fit_into_one_call(
    pytester: pytest.Pytester,
) -> None:
    module(
        pytester,
        """
        def half_held():
            digest()
            begin = time.perf_counter()
            while time.perf_counter() - begin < 0.002:
                pass

        def test_it(gil):
            gil.assert_parallel(half_held)
        """,
    )

    result = run(pytester)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *half_held computes, and 5 threads * side by side only if it is off the GIL for 80%*"]
    )


def test_what_one_of_the_threads_raises_ends_the_test(pytester: pytest.Pytester) -> None:
    module(
        pytester,
        """
        def main_thread_only():
            nap(1000)
            if threading.current_thread() is not threading.main_thread():
                raise LookupError("not here")

        @pytest.mark.parametrize("assertion", ["assert_parallel", "assert_serialized"])
        def test_it(gil, assertion):
            with pytest.raises(LookupError, match="not here"):
                getattr(gil, assertion)(main_thread_only)
        """,
    )

    run(pytester).assert_outcomes(passed=2)
