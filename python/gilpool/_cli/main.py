"""The `gilpool` command: its parser, its subcommands, and how errors become exit codes.

To add a subcommand, write a module with `NAME`, `SUMMARY`, `configure(parser)` and `run(args)`, and
list it in `COMMANDS`. Its `run` returns an exit code or raises `CommandError`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Protocol

import gilpool
from gilpool._cli import check, experiment, hash_files, trace
from gilpool._cli.exits import NOT_WRITTEN, SIGNAL_BASE, CommandError


class Command(Protocol):
    """What a subcommand's module offers."""

    NAME: str
    SUMMARY: str

    def configure(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


COMMANDS: tuple[Command, ...] = (experiment, check, trace, hash_files)
DEFAULT: Command = experiment


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; for wrong usage argparse raises SystemExit(2)."""
    _open_missing_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        args = build_parser().parse_args(with_default_command(words))
        command = next(command for command in COMMANDS if args.command == command.NAME)
        try:
            code = command.run(args)
        except CommandError as failure:
            say(f"gilpool {command.NAME}: {failure.sentence}")
            code = failure.code
        sys.stdout.flush()
    except KeyboardInterrupt:
        say("gilpool: interrupted")
        code = SIGNAL_BASE + signal.SIGINT
    except BrokenPipeError:
        code = SIGNAL_BASE + signal.SIGPIPE
        _forget_stdout()
    except OSError as error:
        say(f"gilpool: cannot write the output: {error.strerror}")
        code = NOT_WRITTEN
        _forget_stdout()
    return code


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="gilpool",
        description="See, on your own machine, what the GIL does to your threads.",
        epilog=f"Without a subcommand, the options are those of '{DEFAULT.NAME}'.",
    )
    parser.add_argument("--version", action="version", version=f"gilpool {gilpool.__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for command in COMMANDS:
        command.configure(subparsers.add_parser(command.NAME, help=command.SUMMARY))
    return parser


def with_default_command(words: list[str]) -> list[str]:
    """Puts the default subcommand in front of options that belong to it."""
    own_options = ("-h", "--help", "--version")
    if not words or (words[0].startswith("-") and words[0] not in own_options):
        return [DEFAULT.NAME, *words]
    return words


def say(sentence: str) -> None:
    """Writes a line to stderr, if anybody reads it."""
    with contextlib.suppress(OSError, ValueError):
        print(sentence, file=sys.stderr, flush=True)


def _open_missing_streams() -> None:
    """Gives a process that was started with closed standard streams something to write to."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 -- open for good


def _forget_stdout() -> None:
    """Keeps the interpreter from flushing, at its exit, into what takes nothing any more."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
