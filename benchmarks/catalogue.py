"""The list of benchmarks in running order; adding one means adding its module's name."""

from __future__ import annotations

import importlib
from typing import cast

from benchmarks.declare import Benchmark

NAMES = (
    "experiment",
    "spawn",
    "map",
    "round_trip",
    "loads",
    "ticker",
    "sleepers",
    "cpp",
    "gil_meter",
    "trace_cost",
    "trace_run",
    "kernels",
)


def load(name: str) -> Benchmark:
    """The benchmark that a module of this package declares."""
    return cast(Benchmark, importlib.import_module(f"benchmarks.{name}").BENCHMARK)
