"""The subcommand `check`: whether a call releases the GIL, by proof, with an exit code for CI."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import gilpool
from gilpool._cli import check_suite, check_target
from gilpool._cli.check_result import Result, as_json
from gilpool._cli.check_table import Table, conclusion
from gilpool._cli.child import machine_facts
from gilpool._cli.exits import MEASURED_OTHERWISE, NOT_MEASURED, OK, USAGE, CommandError
from gilpool._cli.table import machine_line
from gilpool.gil import GilReport, Probe

NAME = "check"
SUMMARY = "whether a call releases the GIL: any call, or a table of the standard library's"

_DESCRIPTION = """\
Tells by proof, not by timing, whether a call releases the GIL. The call is made many times if it
is short, three times or more if it is long; what it prints goes to stderr."""

_EPILOG = """\
examples: gilpool check time:sleep --args 0.01;
gilpool check --setup 'import zlib; data = bytes(100_000)' --call 'zlib.compress(data)' --expect
releases; gilpool check --suite.
exit codes: 0 a verdict as expected (with --suite: verdicts for all, and those that are known as
known); 1 another; 2 wrong usage, or the call raised; 3 inconclusive, or no GIL here; 130
interrupted."""

_OURS = Path(gilpool.__file__).parent
_DEFAULT_MIN_RELEASED = 0.5
_DEFAULT_BUDGET = 5.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommand's options."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument(
        "target", nargs="?", metavar="module:function", help="what to call; may be module:Class.f"
    )
    parser.add_argument(
        "--args", nargs="+", default=[], metavar="LITERAL", help="its arguments, Python literals"
    )
    parser.add_argument(
        "--kwargs", nargs="+", default=[], metavar="NAME=LITERAL", help="its keyword arguments"
    )
    parser.add_argument("--call", metavar="EXPRESSION", help="measure a Python expression instead")
    parser.add_argument(
        "--setup", metavar="STATEMENTS", help="Python run once before --call, in the same namespace"
    )
    parser.add_argument(
        "--suite",
        nargs="*",
        metavar="WORD",
        help="measure a table of calls of the standard library, or those with WORD in their names",
    )
    parser.add_argument(
        "--expect", choices=("releases", "holds"), help="exit with 1 if the verdict is the other"
    )
    parser.add_argument(
        "--min-released",
        type=_fraction,
        metavar="F",
        help="with --expect releases: for at least this fraction of its time "
        f"(default: {_DEFAULT_MIN_RELEASED})",
    )
    parser.add_argument(
        "--budget",
        type=_seconds,
        default=_DEFAULT_BUDGET,
        metavar="SECONDS",
        help=f"time for one verdict, then it is inconclusive (default: {_DEFAULT_BUDGET:g})",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measures and tells; returns the exit code."""
    _check_combination(args)
    if not machine_facts()["gil_enabled"]:
        raise CommandError(
            NOT_MEASURED,
            "this interpreter runs without the GIL, so nothing can hold or release it",
        )
    if args.suite is not None:
        return _run_suite(args.suite, args.budget, json_wanted=args.json)
    return _run_one(args)


def _run_one(args: argparse.Namespace) -> int:
    if args.call is not None:
        target = check_target.expression(args.call, args.setup or "")
    else:
        target = check_target.named(args.target, args.args, args.kwargs)
    progress = Table(None)
    progress.measuring(target.label, 1, 1)
    try:
        report = _measure(target.call, target.label, args.budget)
    except (Exception, SystemExit) as error:
        hint = ": --setup can import it" if isinstance(error, NameError) and args.call else ""
        raise CommandError(USAGE, f"{target.label} {_raised(error)}{hint}") from error
    finally:
        progress.stop()
    min_released = args.min_released
    if args.expect == "releases" and min_released is None:
        min_released = _DEFAULT_MIN_RELEASED
    result = Result(target.label, report, expected=args.expect, min_released=min_released)
    print(json.dumps(as_json([result])) if args.json else report)
    sys.stdout.flush()
    return _judged([result])


def _run_suite(words: list[str], budget: float, *, json_wanted: bool) -> int:
    calls = check_suite.matching(words)
    if not calls:
        raise CommandError(USAGE, f"argument --suite: no call's name has {' or '.join(words)}")
    table = Table(None if json_wanted else sys.stdout)
    table.begin(machine_line(machine_facts()))
    results = []
    try:
        for number, call in enumerate(calls, 1):
            table.measuring(call.label, number, len(calls))
            results.append(_suite_result(call, budget))
            table.measured(results[-1])
    finally:
        table.stop()
    print(json.dumps(as_json(results)) if json_wanted else conclusion(results))
    sys.stdout.flush()
    return _judged(results)


def _suite_result(call: check_suite.SuiteCall, budget: float) -> Result:
    with contextlib.ExitStack() as stack:
        try:
            report = _measure(call.make(stack), call.label, budget)
        except CommandError as error:
            return Result(call.label, None, error=error.sentence, expected=call.known)
        except Exception as error:
            return Result(call.label, None, error=_raised(error), expected=call.known)
        return Result(call.label, report, expected=call.known)


def _measure(call: Callable[[], object], label: str, budget: float) -> GilReport:
    """The report of a call under its label, with what it prints kept off the result's stream."""
    with contextlib.redirect_stdout(sys.stderr):
        report = Probe(budget=budget).report(call)
    return dataclasses.replace(report, name=label)


def _judged(results: list[Result]) -> int:
    """The exit code; raises CommandError, with the reasons, if it is not OK."""
    if complaints := [result.complaint for result in results if result.complaint is not None]:
        raise CommandError(MEASURED_OTHERWISE, "; ".join(complaints))
    if unknown := [result for result in results if result.inconclusive]:
        raise CommandError(NOT_MEASURED, "; ".join(_undecided(unknown)))
    return OK


def _undecided(results: list[Result]) -> Iterator[str]:
    for result in results:
        assert result.report is not None
        if result.verdict == "inconclusive":
            yield f"no verdict for {result.label}: {result.report.reason}"
        else:
            yield f"how much {result.label} releases the GIL could not be seen"


def _check_combination(args: argparse.Namespace) -> None:
    """Refuses options that say nothing together."""
    ways = [args.target is not None, args.call is not None, args.suite is not None]
    if sum(ways) != 1:
        raise CommandError(USAGE, "give one of module:function, --call and --suite")
    if (args.args or args.kwargs) and args.target is None:
        raise CommandError(USAGE, "--args and --kwargs go with module:function")
    if args.setup is not None and args.call is None:
        raise CommandError(USAGE, "--setup goes with --call")
    if args.expect is not None and args.suite is not None:
        raise CommandError(USAGE, "--expect goes with one call, not with --suite")
    if args.min_released is not None and args.expect != "releases":
        raise CommandError(USAGE, "--min-released goes with --expect releases")


def _raised(error: BaseException) -> str:
    """What the call raised, and where, in one line."""
    message = str(error).strip().splitlines()
    told = f"raised {type(error).__name__}" + (f": {message[0]}" if message else "")
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    # Neither our own frames nor those of --call and --setup, which are in sight, help anybody.
    if last is None or last.filename.startswith((str(_OURS), "--")):
        return told
    return f"{told} ({last.filename}:{last.lineno})"


def _fraction(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"a fraction from 0 to 1, not {text!r}")
    return number


def _seconds(text: str) -> float:
    number = _number(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0, not {text!r}")
    return number


def _number(text: str) -> float:
    """The number, or NaN, which no comparison lets pass."""
    try:
        return float(text)
    except ValueError:
        return math.nan
