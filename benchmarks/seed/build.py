"""Compiles seed.pyx on first use and imports it; the result is kept in build/bench.

The file is cached under a hash of everything that goes into it, so a change of source, Cython,
compiler call or interpreter builds anew. Any thread or process may call `load_seed` at any time: a
build happens in a folder of its own and is moved into place in one step.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Protocol, cast

from benchmarks.declare import Requirement, UnavailableError

SOURCE = Path(__file__).with_name("seed.pyx")
CACHE = Path(__file__).resolve().parents[2] / "build" / "bench"
CYTHON = Requirement("Cython", "pip install cython")


class Seed(Protocol):
    """The functions of the compiled module; milliseconds."""

    def sleep_nogil(self, ms: int) -> None: ...

    def sleep_gil(self, ms: int) -> None: ...


@functools.cache
def load_seed() -> Seed:
    """The compiled module.

    Raises:
        UnavailableError: Cython, a C compiler or Python's headers are missing; the text says
            what to do.
    """
    spec = importlib.util.spec_from_file_location("seed", build(CACHE))
    if spec is None or spec.loader is None:
        raise UnavailableError("the compiled seed is not an extension module of this interpreter")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast(Seed, module)


def build(cache: Path) -> Path:
    """The compiled file, made if it is not in the cache yet.

    Raises:
        UnavailableError: It cannot be made; the text says why.
    """
    try:
        cython = importlib.metadata.version("cython")
    except importlib.metadata.PackageNotFoundError:
        raise UnavailableError(CYTHON.install) from None
    compiler = [*shlex.split(sysconfig.get_config_var("LDSHARED")), "-O2", "-fPIC"]
    compiler.append(f"-I{sysconfig.get_paths()['include']}")
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    parts = [SOURCE.read_text(), cython, sys.version, suffix, shlex.join(compiler)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    finished = cache / f"seed-{digest}" / f"seed{suffix}"
    if finished.exists():
        return finished
    finished.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=finished.parent) as folder:
        c_file, compiled = Path(folder, "seed.c"), Path(folder, finished.name)
        _call([sys.executable, "-m", "cython", os.fspath(SOURCE), "-o", os.fspath(c_file)])
        _call([*compiler, os.fspath(c_file), "-o", os.fspath(compiled)])
        os.replace(compiled, finished)
    return finished


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except FileNotFoundError:
        raise UnavailableError(
            f"install a C compiler: there is no {command[0]!r} (apt-get install gcc)"
        ) from None
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines()
        said = next((line for line in lines if "error" in line.lower()), "no message")
        raise UnavailableError(
            f"install a C compiler and Python's headers (apt-get install gcc python3-dev); "
            f"{Path(command[0]).name} said: {said.strip()}"
        )
