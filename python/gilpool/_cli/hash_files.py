"""The subcommand `hash`: digests of files, on every core, with a bar while it goes on.

Its steps: see that the algorithm is there, find the files, one batch over all of them, tell.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import IO

import gilpool
from gilpool import kernels
from gilpool._cli.exits import MEASURED_OTHERWISE, OK, USAGE, CommandError
from gilpool._cli.terminal import is_capable_terminal

NAME = "hash"
SUMMARY = "digests of files, read and hashed on every core"

_DESCRIPTION = """\
Prints digest and name of each file, in the order given and in the form of sha256sum. A directory
stands for all files below it, sorted by name. It is one call of gilpool.kernels.hash_files."""

_EPILOG = """\
exit codes: 0 all were hashed; 1 some could not be read, and stderr says why; 2 wrong usage; 130
interrupted."""

Progress = Callable[[int, int], None]


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommand's options."""
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, or a directory of files")
    parser.add_argument(
        "--algorithm",
        default="sha256",
        metavar="NAME",
        help="a name that hashlib knows (default: sha256)",
    )
    parser.add_argument("--no-progress", action="store_true", help="no bar on stderr")


def run(args: argparse.Namespace) -> int:
    """Hashes and tells; returns the exit code."""
    if not gilpool.features()["openssl"]:
        raise CommandError(USAGE, "gilpool was built without OpenSSL 3, which hashes")
    try:
        kernels.hash_bytes(b"", args.algorithm)
    except ValueError as error:
        raise CommandError(USAGE, f"argument --algorithm: {error}") from error
    problems: list[OSError] = []
    paths = [path for start in args.paths for path in _files(start, problems)]
    with _bar(sys.stderr, wanted=not args.no_progress) as progress:
        digests = kernels.hash_files(paths, args.algorithm, return_errors=True, progress=progress)
    for path, digest in zip(paths, digests, strict=True):
        if isinstance(digest, bytes):
            sys.stdout.buffer.write(_line(path, digest))
        elif isinstance(digest, OSError):
            problems.append(digest)
        else:
            raise digest
    sys.stdout.buffer.flush()
    for problem in problems:
        print(f"gilpool hash: {problem.filename!r}: {problem.strerror}", file=sys.stderr)
    return MEASURED_OTHERWISE if problems else OK


def _files(start: str, problems: list[OSError]) -> Iterator[str]:
    """The path itself, or every file below the directory that it names."""
    if not os.path.isdir(start):
        yield start
        return
    for folder, folders, names in os.walk(start, onerror=problems.append):
        folders.sort()
        for name in sorted(names):
            yield os.path.join(folder, name)


def _line(path: str, digest: bytes) -> bytes:
    """A line as sha256sum writes it: a name that would break it is escaped, which `\\` tells."""
    name = os.fsencode(path)
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    mark = b"\\" if escaped != name else b""
    return mark + digest.hex().encode() + b"  " + escaped + b"\n"


def _bar(stream: IO[str], *, wanted: bool) -> AbstractContextManager[Progress | None]:
    """A bar for somebody who watches and has rich, and who is told how far the batch is."""
    if not (wanted and is_capable_terminal(stream)):
        return contextlib.nullcontext()
    try:
        from gilpool._cli.batch_bar import batch_bar
    except ImportError:
        return contextlib.nullcontext()
    return batch_bar(stream, "hashed")
