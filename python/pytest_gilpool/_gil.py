"""What the fixture `gil` gives: reports judged and noted for the summary, by proof or by time."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_gilpool import _overlap
from pytest_gilpool._errors import GilAssertionError
from pytest_gilpool._settings import GilInconclusiveWarning, Settings
from pytest_gilpool._verdicts import NO_GIL, Notebook, Verdict

if TYPE_CHECKING:
    from gilpool.gil import GilReport


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
        if not 0 <= min_released <= 1:
            raise ValueError(f"min_released must be between 0 and 1, not {min_released!r}")
        report = self._measured(fn, args, kwargs)
        if not gil_is_enabled():
            return self._vacuous(report)
        if report.verdict == "holds":
            self._fail(f"expected to release the GIL, but it holds it\n{report}", report)
        unknown = min_released > 0 and report.released is None
        if report.verdict == "inconclusive" or unknown:
            return self._inconclusive(report)
        if report.released is not None and report.released < min_released:
            self._fail(
                f"expected to release the GIL for at least {min_released:.0%} of its time, but it "
                f"did for {report.released:.0%}\n{report}",
                report,
            )
        self._notebook.add(Verdict.of_report(report))
        return report

    def assert_holds(self, fn: Callable[..., object], /, *args: Any, **kwargs: Any) -> GilReport:
        """Asserts that `fn(*args, **kwargs)` never releases the GIL.

        Without a GIL the test is skipped.
        """
        __tracebackhide__ = True
        self._needs_gil(fn, "that could be held")
        report = self._measured(fn, args, kwargs)
        if report.verdict == "inconclusive":
            return self._inconclusive(report)
        if report.verdict == "releases":
            self._fail(f"expected to hold the GIL, but it releases it\n{report}", report)
        self._notebook.add(Verdict.of_report(report))
        return report

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
        if not max_ms > 0:
            raise ValueError(f"max_ms must be positive, not {max_ms!r}")
        if tries < 1:
            raise ValueError(f"tries must be at least 1, not {tries!r}")
        held: list[str] = []
        while True:
            report = self._measured(fn, args, kwargs)
            if not gil_is_enabled():
                return self._vacuous(report)
            longest_ms = report.longest_hold * 1e3
            if longest_ms <= max_ms:
                self._notebook.add(Verdict.of_report(report, f"held for {longest_ms:.3g} ms"))
                return report
            held.append(f"{longest_ms:.3g} ms")
            if len(held) == tries:
                self._fail(
                    f"expected to keep the GIL for at most {max_ms:g} ms, but it did for "
                    f"{', '.join(held)} (a timing test, {tries} tries)\n{report}",
                    report,
                    f"held for {held[-1]}",
                )

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
        # Here and not above: this import loads the native module.
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

    def _fail(self, message: str, report: GilReport, note: str = "") -> NoReturn:
        __tracebackhide__ = True
        self._notebook.add(Verdict.of_report(report, note, failed=True))
        raise GilAssertionError(message, report)

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
        if not gil_is_enabled():
            self._notebook.add(Verdict(getattr(fn, "__qualname__", type(fn).__name__), NO_GIL))
            pytest.skip(f"this interpreter runs without a GIL {what}")


def gil_is_enabled() -> bool:
    """Whether this interpreter runs with the GIL; a free-threaded build may, too."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


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
