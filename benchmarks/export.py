"""Results as JSON for programs, every single round included.

Any other statistic can be made from it later. The shape is the contract: a change that breaks a
reader raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from benchmarks.machine import Machine
from benchmarks.results import BenchmarkResult, ContestantResult, GroupResult, Spread

SCHEMA = "gilpool-benchmarks"
SCHEMA_VERSION = 1


def document(
    results: Sequence[BenchmarkResult], machine: Machine, load_end: float, started: str
) -> dict[str, Any]:
    """The whole run as one JSON document."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "started": started,
        "machine": {
            **dataclasses.asdict(machine),
            "load_end": load_end,
            "warning": machine.busy(load_end),
        },
        "benchmarks": [_benchmark(result) for result in results],
        "honest": all(result.honest for result in results),
        "on_target": all(result.on_target for result in results),
    }


def _benchmark(result: BenchmarkResult) -> dict[str, Any]:
    return {
        "name": result.benchmark.name,
        "title": result.benchmark.title,
        "size": result.size.value,
        "groups": [_group(group) for group in result.groups],
    }


def _group(result: GroupResult) -> dict[str, Any]:
    group = result.group
    return {
        "title": group.title,
        "note": group.note,
        "peer": group.peer,
        "ideal": group.ideal,
        "metrics": [dataclasses.asdict(metric) for metric in group.metrics],
        "contestants": [_contestant(result, row) for row in result.contestants],
        "targets": [
            {
                **dataclasses.asdict(target),
                "text": target.text,
                "verdict": verdict.value,
                "figure": figure,
            }
            for target, (verdict, figure) in ((t, result.judged(t)) for t in group.targets)
        ],
    }


def _contestant(result: GroupResult, row: ContestantResult) -> dict[str, Any]:
    names = sorted({name for sample in row.samples for name in sample.figures})
    return {
        "name": row.name,
        "ours": row.ours,
        "isolated": row.isolated,
        "status": row.status.value,
        "reason": row.reason,
        "details": row.details,
        "chosen": row.chosen,
        "candidates": row.candidates,
        "checks": [
            {"name": name, "passed": failure is None, "failure": failure}
            for name, failure in row.checks.items()
        ],
        "figures": {name: _spread(row.spread(name)) for name in names},
        "ratio": _spread(result.ratio(row.name)),
        "samples": [dataclasses.asdict(sample) for sample in row.samples],
    }


def _spread(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else dataclasses.asdict(spread)
