"""What pytest loads: hooks alone, inert until a test uses the fixture `gil` or `releases_gil`.

pytest imports this module at every start, so neither it nor what it imports loads gilpool.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NoReturn

import pytest

from pytest_gilpool import _marker, _settings
from pytest_gilpool._errors import GilAssertionError
from pytest_gilpool._gil import Gil
from pytest_gilpool._verdicts import Notebook, Summary

_SETTINGS = pytest.StashKey[_settings.Settings]()
_THREAD_UNSAFE = "thread_unsafe"
"""The marker of pytest-run-parallel for tests that it must not run on several threads at once."""


def pytest_addoption(parser: pytest.Parser) -> None:
    _settings.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _marker.LINE)
    config.stash[_SETTINGS] = _settings.read(config)
    config.pluginmanager.register(Summary(), "gilpool-summary")


@pytest.fixture
def gil(request: pytest.FixtureRequest) -> Gil:
    """Assertions about the GIL.

    By the witness: `gil.assert_releases(fn, *args)`, `gil.assert_holds(fn, *args)`,
    `gil.assert_max_hold(fn, *args, max_ms=...)`, `gil.report(fn, *args)`.
    On threads: `gil.assert_parallel(fn, *args, threads=5)`, `gil.assert_serialized(fn, ...)`.
    """
    return _gil_of(request.node)


def pytest_itemcollected(item: pytest.Item) -> None:
    # A second thread that runs the test would be one more contender for the GIL under test.
    uses_gil = "gil" in getattr(item, "fixturenames", ())
    judges = uses_gil or item.get_closest_marker(_marker.NAME) is not None
    if judges and _is_registered(item.config, _THREAD_UNSAFE):
        reason = "judges the GIL, which other threads of the same test would share"
        item.add_marker(getattr(pytest.mark, _THREAD_UNSAFE)(reason=reason))


def pytest_runtest_setup(item: pytest.Item) -> None:
    complaint = _marker.complaint(item)
    if complaint is not None:
        pytest.fail(complaint, pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    __tracebackhide__ = True
    fraction = _marker.min_released(pyfuncitem)
    if fraction is None:
        return None
    failure = ""
    try:
        _gil_of(pyfuncitem).assert_releases(_marker.body(pyfuncitem), min_released=fraction)
    except GilAssertionError as error:
        # It is about the body as a whole, so there is no line to show.
        failure = str(error)
    if failure:
        _fail(failure)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    Notebook.of(item).move_to(report)
    return report


def _fail(message: str) -> NoReturn:
    # A function of its own: pytest remarks on a failure in which every frame is hidden.
    pytest.fail(message, pytrace=False)


def _gil_of(item: pytest.Item) -> Gil:
    return Gil(item.config.stash[_SETTINGS], Notebook.of(item))


def _is_registered(config: pytest.Config, marker: str) -> bool:
    """Whether a plugin or the project knows this marker, so that `--strict-markers` lets it be."""
    lines = config.getini("markers")
    return any(line.split(":")[0].split("(")[0].strip() == marker for line in lines)
