"""Tests whose outcomes are known: `honest_*` must never fail, `regression_*` must never pass.

Collected by `python -m benchmarks.plugin_truth` alone.
"""

from __future__ import annotations

import ctypes
import hashlib
import threading
import time
import zlib

import pytest

import gilpool
from pytest_gilpool import Gil

BLOCK = bytes(200_000)
LOCK = threading.Lock()
usleep = ctypes.CDLL(None).usleep
held_usleep = ctypes.PyDLL(None).usleep


def nap_behind_a_lock() -> None:
    with LOCK:
        time.sleep(0.02)


def honest_sleep(gil: Gil) -> None:
    gil.assert_releases(time.sleep, 0.001)


def honest_foreign_call(gil: Gil) -> None:
    gil.assert_releases(usleep, 200)


def honest_hash(gil: Gil) -> None:
    gil.assert_releases(hashlib.sha256, BLOCK)


@pytest.mark.releases_gil
def honest_body() -> None:
    zlib.crc32(BLOCK)


def honest_python(gil: Gil) -> None:
    gil.assert_holds(sum, range(1000))


def honest_held_call(gil: Gil) -> None:
    gil.assert_holds(held_usleep, 200)


def honest_parallel_wait(gil: Gil) -> None:
    gil.assert_parallel(time.sleep, 0.05)


def honest_parallel_work(gil: Gil) -> None:
    gil.assert_parallel(hashlib.sha256, BLOCK)


def honest_serialized_wait(gil: Gil) -> None:
    gil.assert_serialized(nap_behind_a_lock, threads=3)


def honest_serialized_work(gil: Gil) -> None:
    gil.assert_serialized(sum, range(1000))


def regression_sleep(gil: Gil) -> None:
    gil.assert_releases(gilpool.sleep_gil, 1)


def regression_foreign_call(gil: Gil) -> None:
    gil.assert_releases(held_usleep, 200)


@pytest.mark.releases_gil
def regression_body() -> None:
    gilpool.sleep_gil(1)


def regression_parallel(gil: Gil) -> None:
    gil.assert_parallel(gilpool.sleep_gil, 1)


def regression_serialized(gil: Gil) -> None:
    gil.assert_serialized(time.sleep, 0.05)
