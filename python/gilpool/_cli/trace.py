"""The subcommand `trace`: runs a script and shows what its tasks did with the GIL.

Its steps: see that everything asked for can be delivered, run the script under
`gilpool.gil.trace`, read the file back, tell what it says, draw it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import gilpool
from gilpool._cli import trace_summary
from gilpool._cli.exits import NOT_WRITTEN, OK, USAGE, CommandError
from gilpool._cli.trace_read import TraceFile, read
from gilpool._cli.trace_script import exit_code_of, prepare_module, prepare_script

NAME = "trace"
SUMMARY = "run a script and record what its tasks did with the GIL, for Perfetto"

_DESCRIPTION = """\
Runs a script (or, with -m, a module) as python would, records what gilpool's tasks do with the GIL
meanwhile, writes a trace that https://ui.perfetto.dev opens, and says on stderr what is in it.
Given a trace (*.json, *.json.gz) instead of a script, only reads that."""

_EPILOG = """\
options of gilpool come before the script, those of the script after it. The exit code is the
script's; 2: wrong usage, 4: the trace or the picture could not be written."""

_DEFAULT_OUTPUT = "gilpool-trace.json"
_TRACE_SUFFIXES = (".json", ".json.gz")
_PLOT_SUFFIXES = (".png", ".svg")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommand's options."""
    parser.usage = "gilpool trace [options] (script.py | -m module | trace.json) [argument ...]"
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help=f"where the trace goes; .gz compresses it (default: {_DEFAULT_OUTPUT})",
    )
    parser.add_argument(
        "--plot",
        type=_plot_path,
        metavar="FILE",
        help="also draw it, as .png or .svg (needs matplotlib)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the summary as one JSON object, on stdout"
    )
    parser.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, help="run a module, as python -m does"
    )
    parser.add_argument("script", nargs=argparse.REMAINDER, help="what to run, and its arguments")


def run(args: argparse.Namespace) -> int:
    """Records, or reads, and tells; returns the script's exit code."""
    words: list[str] = args.module if args.module is not None else args.script
    if not words:
        raise CommandError(USAGE, "needs a script, -m and a module, or a trace to read")
    if args.plot is not None:
        _check_plot(args.plot)
    code: int | None = None
    if args.module is None and words[0].endswith(_TRACE_SUFFIXES):
        path = Path(words[0])
        if args.output is not None:
            raise CommandError(USAGE, "--output is for scripts; a trace is only read")
    else:
        path = args.output or Path(_DEFAULT_OUTPUT)
        code = _record(path, words, as_module=args.module is not None)
    trace = read(path)
    if args.json:
        print(json.dumps(trace_summary.to_dict(trace, str(path), code)))
    else:
        trace_summary.show(trace, str(path), sys.stderr)
    if args.plot is not None:
        _write_plot(trace, args.plot)
    return OK if code is None else code


def _record(path: Path, words: list[str], *, as_module: bool) -> int:
    """Runs the script under a trace; returns its exit code."""
    target, arguments = words[0], words[1:]
    # The script may change the working directory.
    recording = gilpool.gil.trace(os.path.abspath(path))
    run_it = prepare_module(target, arguments) if as_module else prepare_script(target, arguments)
    try:
        recording.__enter__()
    except OSError as error:
        raise CommandError(
            USAGE, f"argument --output: cannot write {str(path)!r}: {error.strerror}"
        ) from error
    code = exit_code_of(run_it)
    sys.stdout.flush()
    try:
        recording.__exit__(None, None, None)
    except OSError as error:
        raise CommandError(
            NOT_WRITTEN, f"ran, but cannot write {str(path)!r}: {error.strerror}"
        ) from error
    return code


def _check_plot(path: Path) -> None:
    """Refuses before the script runs what would fail after it."""
    try:
        import gilpool._cli.trace_plot  # noqa: F401
    except ImportError as error:
        raise CommandError(
            USAGE, f"--plot needs matplotlib ({error}): pip install 'gilpool[plot]'"
        ) from error
    if not os.access(path.parent, os.W_OK):
        raise CommandError(USAGE, f"argument --plot: cannot write into {str(path.parent)!r}")


def _write_plot(trace: TraceFile, path: Path) -> None:
    from gilpool._cli.trace_plot import render

    try:
        path.write_bytes(render(trace, path.suffix.lower().lstrip(".")))
    except OSError as error:
        raise CommandError(
            NOT_WRITTEN, f"the trace is written, but not {str(path)!r}: {error.strerror}"
        ) from error
    print(f"The picture is in {path}", file=sys.stderr)


def _plot_path(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _PLOT_SUFFIXES:
        raise argparse.ArgumentTypeError(f"a name that ends in .png or .svg, not {text!r}")
    return path
