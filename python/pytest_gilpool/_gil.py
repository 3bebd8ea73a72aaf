"""What the fixture `gil` gives: reports judged and noted for the summary, by proof or by time."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gilpool import _overlap
from pytest_gilpool._errors import GilAssertionError
from pytest_gilpool._settings import GilInconclusiveWarning, Settings
from pytest_gilpool._verdicts import NO_GIL, Notebook, Verdict

if TYPE_CHECKING:
    from gilpool.gil import GilReport
    from gilpool.gil._judge import Judgement


class Gil:
    """Assertions about the GIL for one test.

    They judge the report of `gilpool.gil.Probe`, with the budget that the options set, and return
    it. Each verdict is listed in the summary, an inconclusive one does what `gil_inconclusive`
    says, and without a GIL nothing is claimed. A failed assertion is an AssertionError with the
    `report`. What the call raises ends the test as if the test had made the call.

    *Thread safety:* for the test's own thread; a verdict needs the process's GIL to itself.
    *GIL:* held by the caller; released as the call under test does.

    Example:
        >>> def test_sleep_releases(gil):
        ...     gil.assert_releases(time.sleep, 0.001)
    """

    __module__ = "pytest_gilpool"

    def __init__(self, settings: Settings, notebook: Notebook) -> None:
        self._settings = settings
        self._notebook = notebook

    def report(self, fn: Callable[..., object], /, *args: Any, **kwargs: Any) -> GilReport:
        """What the witness saw of `fn(*args, **kwargs)`; judges nothing, so it never skips a test.

        See `gilpool.gil.report`.
        """
        __tracebackhide__ = True
        report = self._measured(fn, args, kwargs)
        self._notebook.add(Verdict.of_report(report))
        return report

    def assert_releases(
        self, fn: Callable[..., object], /, *args: Any, min_released: float = 0.5, **kwargs: Any
    ) -> GilReport:
        """Asserts that `fn(*args, **kwargs)` releases the GIL for `min_released` of its time.

        With `min_released=0` any release will do. Without a GIL the call is made, and the test goes
        on.
        """
        __tracebackhide__ = True
        # Here and not above, as everywhere in this class: these imports load the native module.
        from gilpool.gil import _judge

        _judge.check_share(min_released)
        report = self._measured(fn, args, kwargs)
        if not _has_gil():
            return self._vacuous(report)
        return self._demanded(_judge.judge_release(report, min_released))

    def assert_holds(self, fn: Callable[..., object], /, *args: Any, **kwargs: Any) -> GilReport:
        """Asserts that `fn(*args, **kwargs)` never releases the GIL.

        Without a GIL the test is skipped.
        """
        __tracebackhide__ = True
        self._needs_gil(fn, "that could be held")
        from gilpool.gil import _judge

        return self._demanded(_judge.judge_hold(self._measured(fn, args, kwargs)))

    def assert_max_hold(
        self,
        fn: Callable[..., object],
        /,
        *args: Any,
        max_ms: float,
        tries: int = 3,
        **kwargs: Any,
    ) -> GilReport:
        """Asserts that `fn(*args, **kwargs)` keeps the GIL for `max_ms` at a stretch at most.

        This is a timing test: a busy machine makes every stretch longer, so it fails only if each
        of `tries` measurements found a longer one. Without a GIL the call is made, and the
        test goes on.
        """
        __tracebackhide__ = True
        from gilpool.gil import _judge

        def measure() -> GilReport:
            __tracebackhide__ = True
            return self._measured(fn, args, kwargs)

        _judge.check_tries(max_ms, tries)
        found = _judge.judge_max_hold(measure, max_ms, tries)
        if not _has_gil():
            return self._vacuous(found.report)
        return self._demanded(found, f"held for {found.report.longest_hold * 1e3:.3g} ms")

    def assert_parallel(
        self, fn: Callable[..., object], /, *args: Any, threads: int = 5, **kwargs: Any
    ) -> _overlap.Overlap:
        """Asserts that `threads` threads making this call take about as long as one.

        A call that holds the GIL fails at once. A call that waits is timed: all threads between two
        runs of one thread alone, at most 1.5 times the longer of these, in at most three tries,
        which are printed. A call that computes is not timed, because threads outnumber cores: it
        must be off the GIL for `1 - 1 / threads` of its time.

        Returns:
            Overlap: the ratio, if one was taken, and the report.
        """
        __tracebackhide__ = True
        return self._overlap(_overlap.parallel, fn, args, kwargs, threads)

    def assert_serialized(
        self, fn: Callable[..., object], /, *args: Any, threads: int = 5, **kwargs: Any
    ) -> _overlap.Overlap:
        """Asserts that `threads` threads making this call take as long as that many calls in a row.

        A call that holds the GIL passes at once, for that is a proof. Else a call that waits is
        timed as in `assert_parallel` (behind a lock of its own it may still be serialized): at
        least 0.9 times `threads` times one call. A call that computes and releases the GIL fails.
        Without a GIL the test is skipped.

        Returns:
            Overlap: the ratio, if one was taken, and the report.
        """
        __tracebackhide__ = True
        self._needs_gil(fn, "that could serialize anything")
        return self._overlap(_overlap.serialized, fn, args, kwargs, threads)

    def _measured(
        self, fn: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> GilReport:
        """The witness's report; what the call raises is shown as if the test had called it."""
        __tracebackhide__ = True
        from gilpool.gil import Probe

        try:
            return Probe(budget=self._settings.budget).report(fn, *args, **kwargs)
        except BaseException as error:
            raise error.with_traceback(_outside_gilpool(error.__traceback__)) from error.__cause__

    def _overlap(
        self,
        judge: Callable[[Callable[[], object], GilReport, int], _overlap.Overlap],
        fn: Callable[..., object],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        threads: int,
    ) -> _overlap.Overlap:
        __tracebackhide__ = True
        threads = _overlap.check_threads(threads)
        report = self._measured(fn, args, kwargs)
        try:
            overlap = judge(functools.partial(fn, *args, **kwargs), report, threads)
        except _overlap.OverlapError as error:
            self._notebook.add(Verdict.of_report(report, str(error.overlap), failed=True))
            raise
        except _overlap.UnknownOverlapError:
            overlap = _overlap.Overlap(threads, timed=False, ratio=None, report=report)
            self._inconclusive(report)
            return overlap
        self._notebook.add(Verdict.of_report(report, str(overlap)))
        return overlap

    def _demanded(self, found: Judgement, note: str = "") -> GilReport:
        """The report, if it is as wanted, or if it is unknown and the test is to go on."""
        __tracebackhide__ = True
        if found.outcome == "unknown":
            return self._inconclusive(found.report)
        failed = found.outcome == "otherwise"
        self._notebook.add(Verdict.of_report(found.report, note, failed=failed))
        if failed:
            raise GilAssertionError(found.message, found.report)
        return found.report

    def _inconclusive(self, report: GilReport) -> GilReport:
        """Does what the user wants done; returns if the test is to go on."""
        __tracebackhide__ = True
        self._notebook.add(Verdict.of_report(report))
        sentence = f"no verdict on the GIL for {report.name}: {report.reason}"
        if self._settings.inconclusive == "skip":
            pytest.skip(sentence)
        if self._settings.inconclusive == "fail":
            pytest.fail(sentence, pytrace=False)
        _warn(sentence)
        return report

    def _vacuous(self, report: GilReport) -> GilReport:
        """The call was made; the summary says that this proves nothing."""
        self._notebook.add(Verdict(report.name, NO_GIL, wall=report.wall))
        return report

    def _needs_gil(self, fn: Callable[..., object], what: str) -> None:
        __tracebackhide__ = True
        if not _has_gil():
            self._notebook.add(Verdict(getattr(fn, "__qualname__", type(fn).__name__), NO_GIL))
            pytest.skip(f"this interpreter runs without a GIL {what}")


def _has_gil() -> bool:
    from gilpool.gil._probe import has_gil

    return has_gil()


def _outside_gilpool(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that lies beyond gilpool.gil and the caller of this function."""
    trace = trace and trace.tb_next
    while trace is not None and trace.tb_frame.f_globals["__name__"].startswith("gilpool.gil"):
        trace = trace.tb_next
    return trace


def _warn(sentence: str) -> None:
    """Warns, at the first line outside this package: that of the test."""
    level = 1
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith("pytest_gilpool."):
        frame = frame.f_back
        level += 1
    warnings.warn(GilInconclusiveWarning(sentence), stacklevel=level)
