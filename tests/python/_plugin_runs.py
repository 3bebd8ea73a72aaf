"""Runs of pytest inside a test, with the plugin loaded as users get it, over known calls."""

import importlib.metadata
import textwrap

import pytest

# Kept here: an inner run in this process forgets the modules that it was the first to import.
import gilpool.gil as gil

INSTALLED = any(
    entry.value == "pytest_gilpool.plugin"
    for entry in importlib.metadata.entry_points(group="pytest11")
)
"""Whether pytest finds the plugin by its entry point; a bare build tree has none."""
LOADED = () if INSTALLED else ("-p", "pytest_gilpool.plugin")
STRICT = ("--strict-markers", "--strict-config", "-W", "error", "-p", "no:cacheprovider")
SPEEDY = ("-p", "no:hypothesispytest")
"""Takes half a second to load anew in each inner run."""
ALWAYS = (*LOADED, *STRICT, *SPEEDY)
TOO_SHORT = "--gil-budget=0.001"
"""No call can be proved to hold the GIL within this budget: `held_nap(1000)` is inconclusive."""

__all__ = ["INSTALLED", "LOADED", "STRICT", "TOO_SHORT", "gil", "module", "run", "run_process"]

_CALLS = """
    import ctypes, hashlib, threading, time, unittest, warnings

    import pytest

    nap = ctypes.CDLL(None).usleep  # ctypes releases the GIL around every call of a CDLL
    held_nap = ctypes.PyDLL(None).usleep  # and keeps it for a PyDLL, where the same call holds it
    lock = threading.Lock()

    def nap_behind_a_lock():
        with lock:
            nap(20_000)

    def crunch():
        sum(range(20_000))

    def digest():
        hashlib.sha256(BLOCK)

    BLOCK = bytes(1_000_000)
"""


def module(pytester: pytest.Pytester, tests: str, name: str = "test_it") -> None:
    """Writes `tests`, below calls whose verdicts are known, as a module of the inner runs."""
    pytester.makepyfile(**{name: textwrap.dedent(_CALLS) + textwrap.dedent(tests)})


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """An inner run in this process, without other plugins that have a part in running tests."""
    return pytester.runpytest_inprocess(*ALWAYS, "-p", "no:run-parallel", *options)


def run_process(pytester: pytest.Pytester, *options: str, timeout: float = 60) -> pytest.RunResult:
    """An inner run in a process of its own, killed after `timeout` seconds (a failure)."""
    return pytester.runpytest_subprocess(*ALWAYS, *options, timeout=timeout)
