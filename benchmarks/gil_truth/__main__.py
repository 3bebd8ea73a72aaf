"""`python -m benchmarks.gil_truth`: verdicts on calls of known truth, idle and overloaded.

Exit code 1 if a verdict was wrong or a target was missed.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

from benchmarks.gil_truth.judge import CONDITIONS, Summary, Verdict, collect, summary, to_dict
from benchmarks.report import Table, plain
from gilpool.gil import Probe

ROUNDS = {"short": 4, "full": 35}
SECONDS = {"short": 40.0, "full": 600.0}
"""The most that each condition may take."""

MOST_INCONCLUSIVE = {"idle": 0.01, "overloaded": 0.20}
MOST_SECONDS = {"releasing": 5e-3, "holding": 300e-3}


def main() -> int:
    """Collect or read verdicts, print what they are worth."""
    options = _options()
    verdicts: list[Verdict] = []
    for path in options.read:
        verdicts += [Verdict(**entry) for entry in json.loads(path.read_text())["verdicts"]]
    if not options.read:
        size = "short" if options.short else "full"
        rounds = options.rounds or ROUNDS[size]
        probe = Probe(sample=False, watch_wakes=not options.wins_only)
        for condition in options.condition or CONDITIONS:
            most = options.seconds or SECONDS[size]
            verdicts += collect(condition, rounds, probe, most, Tell(condition))
    summaries = [summary(name, verdicts) for name in CONDITIONS]
    summaries = [one for one in summaries if one.verdicts]
    failures = list(_failures(summaries))
    if options.json:
        document = {
            "python": platform.python_version(),
            "summaries": [vars(one) for one in summaries],
            "failures": failures,
            "verdicts": [to_dict(verdict) for verdict in verdicts],
        }
        json.dump(document, sys.stdout)
        print()
    else:
        _print(summaries, verdicts, failures)
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="gil-truth", description=__doc__)
    parser.add_argument("--short", action="store_true", help="about a minute instead of ten")
    parser.add_argument("--rounds", type=int, help="verdicts on each call of full weight")
    parser.add_argument("--seconds", type=float, help="the most that each condition may take")
    parser.add_argument(
        "--condition", action="append", choices=list(CONDITIONS), help="only this one"
    )
    parser.add_argument(
        "--wins-only", action="store_true", help="as where the kernel tells of no wake-ups"
    )
    parser.add_argument("--json", action="store_true", help="every verdict, as JSON")
    parser.add_argument(
        "--read", action="append", default=[], type=Path, metavar="FILE", help="sum up JSON files"
    )
    return parser.parse_args()


def _failures(summaries: list[Summary]) -> list[str]:
    found = []
    for one in summaries:
        where = f"{one.condition}: "
        if one.wrong:
            found.append(f"{where}{one.wrong} of {one.verdicts:,} verdicts are wrong")
        most = MOST_INCONCLUSIVE[one.condition]
        if one.inconclusive > most:
            found.append(f"{where}{one.inconclusive:.1%} inconclusive, wanted at most {most:.0%}")
        if one.condition == "idle":
            found += [
                f"{where}median of {kind} calls {getattr(one, kind) * 1e3:.1f} ms, wanted at most "
                f"{limit * 1e3:g} ms"
                for kind, limit in MOST_SECONDS.items()
                if getattr(one, kind) > limit
            ]
    return found


class Tell:
    """How many verdicts there are, on a terminal; nothing elsewhere."""

    def __init__(self, condition: str) -> None:
        self._condition = condition
        self._shown = sys.stderr.isatty()

    def __call__(self, number: int) -> None:
        if self._shown:
            print(f"\r{self._condition}: {number:,} verdicts", end="", file=sys.stderr, flush=True)


def _table(summaries: list[Summary]) -> Table:
    columns = [
        "condition",
        "verdicts",
        "wrong",
        "inconclusive",
        "of calls < 10 us",
        "releasing, median",
        "holding, median",
    ]
    rows = [
        [
            one.condition,
            f"{one.verdicts:,}",
            f"{one.wrong:,}",
            f"{one.inconclusive:.2%}",
            f"{one.inconclusive_short:.2%}",
            f"{one.releasing * 1e3:.2f} ms",
            f"{one.holding * 1e3:.1f} ms",
        ]
        for one in summaries
    ]
    title = f"Does the call release the GIL? Python {platform.python_version()}"
    return Table(title, columns, rows, [False] * len(rows), len(columns))


def _print(summaries: list[Summary], verdicts: list[Verdict], failures: list[str]) -> None:
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if not (sys.stdout.isatty() and _print_rich(_table(summaries))):
        print(plain(_table(summaries)))
    for verdict in verdicts:
        if verdict.wrong:
            print(
                f"WRONG  {verdict.condition}: {verdict.case} {verdict.truth}, but the verdict was "
                f"{verdict.verdict}: {verdict.reason}"
            )
    for failure in failures:
        print(f"FAILED  {failure}")
    if not failures:
        print(f"{sum(one.verdicts for one in summaries):,} verdicts, 0 wrong")


def _print_rich(table: Table) -> bool:
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table as RichTable
    except ImportError:
        return False
    drawn = RichTable(title=table.title, title_justify="left", box=box.SIMPLE_HEAD)
    for i, column in enumerate(table.columns):
        drawn.add_column(column, justify="left" if i == 0 else "right")
    for cells in table.rows:
        drawn.add_row(*cells)
    Console().print(drawn)
    return True


if __name__ == "__main__":
    sys.exit(main())
