"""The command line: `python -m benchmarks [NAME ...] [options]`; `--help` lists the options.

Exit codes: 0 fine; 1 a row is invalid, failed or lacks gilpool itself (with --strict also: a target
was missed or not measured); 2 wrong usage; 130 interrupted.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks import catalogue, machine
from benchmarks.declare import Benchmark, Size
from benchmarks.export import document
from benchmarks.harness import Harness
from benchmarks.plot import PlotUnavailableError, check_plot, save_plot
from benchmarks.progress import display
from benchmarks.report import print_report


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the named benchmarks, all of them without a name, and returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(catalogue.NAMES))
    if unknown:
        parser.error(f"no benchmark {unknown[0]!r}; there is {', '.join(catalogue.NAMES)}")
    benchmarks = [catalogue.load(name) for name in dict.fromkeys(options.names or catalogue.NAMES)]
    if options.list:
        for benchmark in benchmarks:
            print(f"{benchmark.name:16} {benchmark.title}")
        return 0
    if options.plot:
        try:
            check_plot(options.plot)
        except (PlotUnavailableError, ValueError) as error:
            parser.error(f"--plot: {error}")
    try:
        return _run(benchmarks, options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _run(benchmarks: Sequence[Benchmark], options: argparse.Namespace) -> int:
    size = Size(options.size)
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    where = machine.describe(name for benchmark in benchmarks for name in benchmark.packages)
    with display() as progress:
        harness = Harness(progress=progress)
        results = [harness.run(benchmark, size, options.rounds) for benchmark in benchmarks]
    load_end = machine.load()
    if options.json:
        json.dump(document(results, where, load_end, started), sys.stdout, indent=2)
        print()
    else:
        print_report(results, where, load_end)
    for result in results:
        if options.plot:
            file = options.plot
            if len(results) > 1:
                file = file.with_stem(f"{file.stem}-{result.benchmark.name}")
            save_plot(result, where, file)
            print(f"plot: {file}", file=sys.stderr)
    honest = all(result.honest for result in results)
    on_target = all(result.on_target for result in results)
    return 0 if honest and (on_target or not options.strict) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Benchmarks of gilpool beside named peers."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument("--list", action="store_true", help="list the benchmarks and stop")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw a picture (png, svg, pdf; needs matplotlib)"
    )
    parser.add_argument(
        "--rounds", type=_positive, metavar="N", help="counted rounds; one more is run and dropped"
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--quick", dest="size", action="store_const", const="quick", help="sizes for CI"
    )
    sizes.add_argument(
        "--full", dest="size", action="store_const", const="full", help="the published sizes"
    )
    parser.set_defaults(size="default")
    parser.add_argument(
        "--strict", action="store_true", help="fail when a target is missed or not measured"
    )
    return parser


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"a whole number above zero is needed, not {text!r}")
    return number


if __name__ == "__main__":
    sys.exit(main())
