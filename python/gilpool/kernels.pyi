"""Types of the kernels; what they do is in their docstrings."""

import os
from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, TypeAlias, overload

from typing_extensions import Buffer

from gilpool._core import sleep as sleep
from gilpool._core import wait_fd as wait_fd

_Path: TypeAlias = str | bytes | os.PathLike[str] | os.PathLike[bytes]
_Pattern: TypeAlias = str | bytes
_Progress: TypeAlias = Callable[[int, int], object]

__all__: Final[list[str]]

# One signature for each kernel, with the names and defaults of csrc/bindings/kernel_table.cpp;
# batches have a second one for return_errors=True.
def busy(ms: float, *, release_gil: bool = True) -> None: ...
def count_primes(n: int, *, release_gil: bool = True) -> int: ...
def mandelbrot(
    width: int,
    height: int,
    max_iter: int = 100,
    out: Buffer | None = None,
    *,
    release_gil: bool = True,
) -> Any: ...
def monte_carlo_pi(samples: int, seed: int = 0, *, release_gil: bool = True) -> float: ...
def matmul(a: Buffer, b: Buffer, out: Buffer | None = None, *, release_gil: bool = True) -> Any: ...
def count(data: Buffer, pattern: Buffer, *, release_gil: bool = True) -> int: ...
def count_lines(data: Buffer, *, release_gil: bool = True) -> int: ...
def count_words(data: Buffer, *, release_gil: bool = True) -> int: ...
def crc32c(data: Buffer, value: int = 0, *, release_gil: bool = True) -> int: ...
def b64encode(data: Buffer, *, release_gil: bool = True) -> bytes: ...
def b64decode(data: Buffer, validate: bool = False, *, release_gil: bool = True) -> bytes: ...
def sort(values: Buffer, *, release_gil: bool = True) -> None: ...
def argsort(values: Buffer, out: Buffer | None = None, *, release_gil: bool = True) -> Any: ...
def find_all(
    pattern: _Pattern, data: Buffer, *, release_gil: bool = True
) -> list[tuple[int, int]]: ...
def count_matches(pattern: _Pattern, data: Buffer, *, release_gil: bool = True) -> int: ...
def sha256(data: Buffer, *, release_gil: bool = True) -> bytes: ...
def hash_bytes(data: Buffer, algorithm: str = "sha256", *, release_gil: bool = True) -> bytes: ...
@overload
def hash_many(
    items: Iterable[Buffer],
    algorithm: str = "sha256",
    return_errors: Literal[False] = False,
    progress: _Progress | None = None,
    *,
    release_gil: bool = True,
) -> list[bytes]: ...
@overload
def hash_many(
    items: Iterable[Buffer],
    algorithm: str = "sha256",
    *,
    return_errors: bool,
    progress: _Progress | None = None,
    release_gil: bool = True,
) -> list[bytes | Exception]: ...
def hash_file(path: _Path, algorithm: str = "sha256", *, release_gil: bool = True) -> bytes: ...
@overload
def hash_files(
    paths: Iterable[_Path],
    algorithm: str = "sha256",
    return_errors: Literal[False] = False,
    progress: _Progress | None = None,
    *,
    release_gil: bool = True,
) -> list[bytes]: ...
@overload
def hash_files(
    paths: Iterable[_Path],
    algorithm: str = "sha256",
    *,
    return_errors: bool,
    progress: _Progress | None = None,
    release_gil: bool = True,
) -> list[bytes | Exception]: ...
def read_file(path: _Path, *, release_gil: bool = True) -> bytes: ...
@overload
def read_files(
    paths: Iterable[_Path],
    return_errors: Literal[False] = False,
    progress: _Progress | None = None,
    *,
    release_gil: bool = True,
) -> list[bytes]: ...
@overload
def read_files(
    paths: Iterable[_Path],
    *,
    return_errors: bool,
    progress: _Progress | None = None,
    release_gil: bool = True,
) -> list[bytes | Exception]: ...
def write_file(
    path: _Path, data: Buffer, fsync: bool = False, *, release_gil: bool = True
) -> int: ...
def copy_file(source: _Path, target: _Path, *, release_gil: bool = True) -> int: ...
@overload
def stat_many(
    paths: Iterable[_Path],
    follow_symlinks: bool = True,
    return_errors: Literal[False] = False,
    progress: _Progress | None = None,
    *,
    release_gil: bool = True,
) -> list[os.stat_result]: ...
@overload
def stat_many(
    paths: Iterable[_Path],
    follow_symlinks: bool = True,
    *,
    return_errors: bool,
    progress: _Progress | None = None,
    release_gil: bool = True,
) -> list[os.stat_result | Exception]: ...
