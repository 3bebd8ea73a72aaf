"""Reports turned into assertions, as functions and as decorators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from gilpool.gil._callables import refuse_unmeasurable
from gilpool.gil._judge import (
    Judgement,
    check_share,
    check_tries,
    judge_hold,
    judge_max_hold,
    judge_release,
)
from gilpool.gil._probe import Probe, has_gil
from gilpool.gil._report import GilReport, Inconclusive

_P = ParamSpec("_P")


def report(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> GilReport:
    """Measure what `fn(*args, **kwargs)` does with the GIL; `Probe` has settings.

    Thread safety: any thread; measurements wait for each other. GIL: see `Probe`.

        >>> import time, gilpool
        >>> gilpool.gil.report(time.sleep, 0.001).verdict
        'releases'
    """
    return Probe().report(fn, *args, **kwargs)


def assert_releases(
    fn: Callable[..., Any], /, *args: Any, min_released: float = 0.5, **kwargs: Any
) -> GilReport:
    """Assert that `fn(*args, **kwargs)` lets go of the GIL, for so much of its time.

    Args:
        min_released: share of the call's wall time, 0 to 1; with 0 any release will do.

    Raises:
        AssertionError: it holds the GIL, or releases less; the report is in the message.
        Inconclusive: neither could be shown.

        >>> import time, gilpool
        >>> gilpool.gil.assert_releases(time.sleep, 0.001).verdict
        'releases'
    """
    check_share(min_released)
    seen = Probe(sample=min_released > 0).report(fn, *args, **kwargs)
    return _demanded(judge_release(seen, min_released))


def assert_holds(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> GilReport:
    """Assert that `fn(*args, **kwargs)` never lets go of the GIL.

    Raises:
        AssertionError: it releases the GIL; the report is in the message.
        Inconclusive: neither could be shown.

        >>> import gilpool
        >>> gilpool.gil.assert_holds(sum, range(1000)).verdict
        'holds'
    """
    seen = Probe(sample=False).report(fn, *args, **kwargs)
    if seen.verdict == "releases" and not has_gil():
        raise Inconclusive(f"nothing holds a GIL that is not there\n{seen}", seen)
    return _demanded(judge_hold(seen))


def assert_max_hold(
    fn: Callable[..., Any], /, *args: Any, max_ms: float, tries: int = 3, **kwargs: Any
) -> GilReport:
    """Assert that `fn(*args, **kwargs)` never keeps the GIL longer than `max_ms` at a stretch.

    A timing test: a busy machine makes every stretch longer. It fails only if each of `tries`
    measurements found a longer one; the message has the CPU time of a call beside it, which a busy
    machine does not change much.

    Raises:
        AssertionError: every measurement exceeded `max_ms`; the last report is in the message.
        ValueError: `max_ms` is not positive, or `tries` is less than 1.

        >>> import time, gilpool
        >>> gilpool.gil.assert_max_hold(time.sleep, 0.001, max_ms=500).verdict
        'releases'
    """
    check_tries(max_ms, tries)
    probe = Probe()
    return _demanded(judge_max_hold(lambda: probe.report(fn, *args, **kwargs), max_ms, tries))


def releases(*, min_released: float = 0.5) -> Callable[[Callable[_P, object]], Callable[_P, None]]:
    """Decorate a test so that running it asserts that its body releases the GIL.

    A call of the decorated function measures instead: the body runs several times, with the same
    arguments, and what it returns is dropped. Made for test functions, methods and fixtures'
    arguments included.

        >>> import time, gilpool
        >>> @gilpool.gil.releases(min_released=0.5)
        ... def test_nap():
        ...     time.sleep(0.001)
        >>> test_nap()
    """
    check_share(min_released)
    return _checked(functools.partial(assert_releases, min_released=min_released))


def holds() -> Callable[[Callable[_P, object]], Callable[_P, None]]:
    """Decorate a test so that running it asserts that its body holds the GIL; see `releases`."""
    return _checked(assert_holds)


def max_hold(
    *, max_ms: float, tries: int = 3
) -> Callable[[Callable[_P, object]], Callable[_P, None]]:
    """Decorate a test so that running it asserts how long it keeps the GIL; see `releases`."""
    check_tries(max_ms, tries)
    return _checked(functools.partial(assert_max_hold, max_ms=max_ms, tries=tries))


def _demanded(found: Judgement) -> GilReport:
    """The report, if it is as wanted."""
    if found.outcome == "unknown":
        raise Inconclusive(found.message, found.report)
    if found.outcome == "otherwise":
        raise AssertionError(found.message)
    return found.report


def _checked(
    check: Callable[..., GilReport],
) -> Callable[[Callable[_P, object]], Callable[_P, None]]:
    def decorate(function: Callable[_P, object]) -> Callable[_P, None]:
        refuse_unmeasurable(function)

        @functools.wraps(function)
        def measured(*args: _P.args, **kwargs: _P.kwargs) -> None:
            __tracebackhide__ = True  # pytest shows the test, not this frame
            check(functools.partial(function, *args, **kwargs))

        return measured

    return decorate
