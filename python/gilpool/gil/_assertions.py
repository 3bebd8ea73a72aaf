"""Reports turned into assertions, as functions and as decorators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from gilpool.gil._callables import refuse_unmeasurable
from gilpool.gil._probe import Probe, has_gil
from gilpool.gil._report import GilReport, Inconclusive, duration

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
    if not 0 <= min_released <= 1:
        raise ValueError(f"min_released must be between 0 and 1, not {min_released!r}")
    seen = Probe(sample=min_released > 0).report(fn, *args, **kwargs)
    if seen.verdict == "inconclusive":
        raise Inconclusive(f"could not tell whether it releases the GIL\n{seen}", seen)
    if seen.verdict == "holds":
        raise AssertionError(f"expected to release the GIL, but it holds it\n{seen}")
    if min_released > 0 and seen.released is None:
        raise Inconclusive(f"could not tell how much it releases the GIL\n{seen}", seen)
    if seen.released is not None and seen.released < min_released:
        raise AssertionError(
            f"expected to release the GIL for at least {min_released:.0%} of its time, "
            f"but it did for {seen.released:.0%}\n{seen}"
        )
    return seen


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
    if seen.verdict == "inconclusive":
        raise Inconclusive(f"could not tell whether it holds the GIL\n{seen}", seen)
    if seen.verdict == "releases" and not has_gil():
        raise Inconclusive(f"nothing holds a GIL that is not there\n{seen}", seen)
    if seen.verdict == "releases":
        raise AssertionError(f"expected to hold the GIL, but it releases it\n{seen}")
    return seen


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
    if not max_ms > 0:
        raise ValueError(f"max_ms must be positive, not {max_ms!r}")
    if tries < 1:
        raise ValueError(f"tries must be at least 1, not {tries!r}")
    held: list[float] = []
    for _ in range(tries):
        seen = Probe().report(fn, *args, **kwargs)
        if seen.longest_hold * 1e3 <= max_ms:
            return seen
        held.append(seen.longest_hold)
    raise AssertionError(
        f"expected to keep the GIL for at most {max_ms:g} ms, but it did for "
        f"{', '.join(map(duration, held))} (a timing test, {tries} tries; CPU time of one call: "
        f"{duration(seen.cpu)})\n{seen}"
    )


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
    return _checked(functools.partial(assert_releases, min_released=min_released))


def holds() -> Callable[[Callable[_P, object]], Callable[_P, None]]:
    """Decorate a test so that running it asserts that its body holds the GIL; see `releases`."""
    return _checked(assert_holds)


def max_hold(
    *, max_ms: float, tries: int = 3
) -> Callable[[Callable[_P, object]], Callable[_P, None]]:
    """Decorate a test so that running it asserts how long it keeps the GIL; see `releases`."""
    return _checked(functools.partial(assert_max_hold, max_ms=max_ms, tries=tries))


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
