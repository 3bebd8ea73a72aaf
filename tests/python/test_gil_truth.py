"""./run gil-truth: the truth about its calls is the truth, and a wrong verdict does not pass."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gil_truth.cases import HOLDS, RELEASES, cases
from benchmarks.gil_truth.judge import Verdict, collect, summary, to_dict
from gilpool.gil import Probe

ROOT = Path(__file__).parents[2]


def verdict(**changes: Any) -> Verdict:
    fields: dict[str, Any] = {
        "case": "a call",
        "truth": HOLDS,
        "condition": "idle",
        "verdict": HOLDS,
        "wall": 1e-3,
        "seconds": 0.02,
        "wins": 0,
        "reason": "because",
    }
    return Verdict(**{**fields, **changes})


def run_tool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gil_truth", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def read(tmp_path: Path, *verdicts: Verdict) -> "subprocess.CompletedProcess[str]":
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"verdicts": [to_dict(one) for one in verdicts]}))
    return run_tool("--read", str(path))


def test_a_few_verdicts_of_each_kind_are_right() -> None:
    found = collect("idle", 1, Probe(sample=False), 6.0, lambda _: None)
    assert {one.truth for one in found} == {RELEASES, HOLDS}
    assert not [one for one in found if one.wrong]
    assert len(found) >= 5


def test_both_kinds_are_about_as_many() -> None:
    with ExitStack() as stack:
        all_of_them = cases(stack)
    truths = [case.truth for case in all_of_them]
    assert len(truths) >= 40
    assert 0.4 < truths.count(RELEASES) / len(truths) < 0.6
    assert len({case.name for case in all_of_them}) == len(truths)


def test_the_summary_counts_what_is_wrong_and_what_is_open() -> None:
    found = [
        verdict(),
        verdict(verdict=RELEASES),
        verdict(verdict="inconclusive"),
        verdict(verdict="inconclusive", wall=1e-6),
        verdict(truth=RELEASES, verdict=RELEASES, seconds=0.003),
        verdict(condition="overloaded"),
    ]
    one = summary("idle", found)
    assert (one.verdicts, one.wrong) == (5, 1)
    assert (one.inconclusive, one.inconclusive_short) == (1 / 4, 1.0)
    assert (one.releasing, one.holding) == (0.003, 0.02)


def test_right_verdicts_pass(tmp_path: Path) -> None:
    done = read(tmp_path, verdict(), verdict(truth=RELEASES, verdict=RELEASES, seconds=1e-3))
    assert done.returncode == 0, done.stderr
    assert "2 verdicts, 0 wrong" in done.stdout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"verdict": RELEASES}, "1 of 2 verdicts are wrong"),
        ({"verdict": "inconclusive"}, "50.0% inconclusive, wanted at most 1%"),
        ({"seconds": 1.0}, "median of holding calls"),
    ],
)
def test_what_misses_its_target_fails(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    good = verdict(truth=RELEASES, verdict=RELEASES, seconds=1e-3)
    done = read(tmp_path, good, verdict(**changes))
    assert done.returncode == 1
    assert "FAILED  idle: " in done.stdout
    assert words in done.stdout
