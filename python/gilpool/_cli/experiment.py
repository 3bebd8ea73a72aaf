"""The subcommand `experiment`: which call releases the GIL, measured on this machine.

Its steps: see that everything asked for can be delivered, measure in a child process, tell the
outcome, judge it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path

from gilpool import _core
from gilpool._cli.child import usable_cores
from gilpool._cli.exits import MEASURED_OTHERWISE, NOT_WRITTEN, OK, USAGE, CommandError
from gilpool._cli.measure import Display, measure
from gilpool._cli.model import Session
from gilpool._cli.plain import NoDisplay, PlainDisplay
from gilpool._cli.report import report
from gilpool._cli.rows import Parameters, Row, experiment_rows, seed_rows
from gilpool._cli.table import complaints, conclusion
from gilpool._cli.terminal import is_capable_terminal

NAME = "experiment"
SUMMARY = "five threads call C code that releases the GIL, then C code that holds it (the default)"

_DESCRIPTION = """\
Measures five rows: threading.Thread and gilpool.Pool, each with C code that releases the GIL
(sleep_nogil) and C code that holds it (sleep_gil), then ten time.sleep tasks spawned on a Pool.
With --kernel NAME the first four are measured with that function of gilpool.kernels, which computes
(or works on files) instead of sleeping, so that what the calls gain is bounded by the cores.
Whether a call released the GIL is decided from native time stamps, not from its name."""

_EPILOG = """\
exit codes: 0 released calls overlapped (at most 1.3x one call) and held calls did not (at least
0.9x threads); 1 measured, but otherwise; 2 wrong usage; 3 the measurement failed; 4 the plot
could not be written; 130 interrupted."""

_QUICK_MS = 500.0
_MS_RANGE = (20.0, 3_600_000.0)
_THREADS_RANGE = (1, 1000)
_PLOT_SUFFIXES = (".png", ".svg")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommand's options."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument(
        "--threads", type=_threads, default=5, metavar="N", help="threads per row (default: 5)"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--ms",
        type=_milliseconds,
        default=5000.0,
        metavar="MS",
        help="length of one call in milliseconds (default: 5000)",
    )
    length.add_argument(
        "--quick",
        dest="ms",
        action="store_const",
        const=_QUICK_MS,
        help=f"the same as --ms {_QUICK_MS:g}",
    )
    parser.add_argument(
        "--kernel",
        choices=sorted(_core._kernels),
        metavar="NAME",
        help="compute with this function of gilpool.kernels instead of sleeping: "
        + ", ".join(sorted(_core._kernels)),
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument(
        "--json", action="store_true", help="print one JSON object with everything measured"
    )
    output.add_argument(
        "--seed-style",
        action="store_true",
        help="measure only threads, and print only the two classic lines",
    )
    parser.add_argument(
        "--plot",
        type=_plot_path,
        metavar="FILE",
        help="draw what each thread did, as .png or .svg (needs matplotlib)",
    )
    parser.add_argument(
        "--no-progress", action="store_true", help="no live display while it measures"
    )


def run(args: argparse.Namespace) -> int:
    """Measures and tells; returns the exit code."""
    plot: Path | None = args.plot
    if plot is not None:
        _check_plot(plot)
    if args.kernel is not None and args.seed_style:
        raise CommandError(USAGE, "argument --kernel: not allowed with argument --seed-style")
    parameters = Parameters(args.threads, args.ms, args.kernel, usable_cores())
    rows = seed_rows(parameters) if args.seed_style else experiment_rows(parameters)
    quiet: bool = args.json or args.seed_style
    display = choose_display(rows, quiet=quiet, progress=not args.no_progress)
    session = measure(parameters, rows, display)
    wrong = complaints(session.results, gil_enabled=session.gil_enabled)
    if args.json:
        print(json.dumps(report(session, parameters)))
    elif args.seed_style:
        _print_seed_style(session)
    elif not wrong:
        print(conclusion(session.results, gil_enabled=session.gil_enabled))
    sys.stdout.flush()
    if plot is not None:
        _write_plot(session, plot, quiet=quiet)
    if wrong:
        raise CommandError(MEASURED_OTHERWISE, f"not as it must be: {'; '.join(wrong)}")
    return OK


def choose_display(rows: tuple[Row, ...], *, quiet: bool, progress: bool) -> Display:
    """The best display that the terminal, the options and what is installed allow.

    With `quiet`, stdout belongs to the result alone, and a terminal on stderr shows the progress.
    """
    stream = sys.stderr if quiet else sys.stdout
    if progress and is_capable_terminal(stream):
        try:
            from gilpool._cli.live import LiveDisplay
        except ImportError:
            if sys.stderr.isatty():
                print("(for a live display: pip install 'gilpool[cli]')", file=sys.stderr)
        else:
            return LiveDisplay(rows, stream, keep_results=not quiet)
    return NoDisplay() if quiet else PlainDisplay(rows, stream)


def _print_seed_style(session: Session) -> None:
    names = {"released": "C code releases GIL", "held": "C code holds GIL"}
    for result in session.results:
        print(f"{names[result.row.expected]}: {result.seconds:.3f}")


def _check_plot(path: Path) -> None:
    """Refuses before the measurement what would fail after it."""
    try:
        import gilpool._cli.plot  # noqa: F401
    except ImportError as error:
        raise CommandError(
            USAGE, f"--plot needs matplotlib ({error}): pip install 'gilpool[plot]'"
        ) from error
    try:
        if path.exists():
            path.open("ab").close()
        else:
            tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise CommandError(
            USAGE, f"argument --plot: cannot write {str(path)!r}: {error.strerror}"
        ) from error


def _write_plot(session: Session, path: Path, *, quiet: bool) -> None:
    from gilpool._cli.plot import render

    try:
        path.write_bytes(render(session, path.suffix.lower().lstrip(".")))
    except OSError as error:
        raise CommandError(
            NOT_WRITTEN, f"measured, but cannot write {str(path)!r}: {error.strerror}"
        ) from error
    if not quiet:
        print(f"The picture is in {path}.")


def _threads(text: str) -> int:
    low, high = _THREADS_RANGE
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"a whole number from {low} to {high}, not {text!r}")
    return number


def _milliseconds(text: str) -> float:
    low, high = _MS_RANGE
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    # Below the lower end, phases sampled every millisecond say too little; NaN compares false.
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"a number from {low:.0f} to {high:.0f}, not {text!r}")
    return number


def _plot_path(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _PLOT_SUFFIXES:
        raise argparse.ArgumentTypeError(f"a name that ends in .png or .svg, not {text!r}")
    return path
