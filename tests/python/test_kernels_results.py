"""Each kernel against an oracle: the standard library, or arithmetic that everybody believes."""

import array
import base64
import binascii
import hashlib
import math
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gilpool
from conftest import Script
from gilpool import kernels

FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

needs_openssl = pytest.mark.skipif(
    not gilpool.features()["openssl"], reason="built without OpenSSL"
)
needs_re2 = pytest.mark.skipif(not gilpool.features()["re2"], reason="built without RE2")

ascii_text = st.binary(max_size=300) | st.text("ab \n\t", max_size=300).map(str.encode)


def by_bytes(data: bytes) -> list[Any]:
    """The same bytes as different exporters have them."""
    return [data, bytearray(data), memoryview(data), array.array("B", data)]


# --- text ---


@given(ascii_text, st.binary(max_size=3) | st.text("ab", max_size=3).map(str.encode))
@FEW
def test_count(data: bytes, pattern: bytes) -> None:
    for exporter in by_bytes(data):
        assert kernels.count(exporter, pattern) == data.count(pattern)


@given(ascii_text)
@FEW
def test_lines_and_words(data: bytes) -> None:
    assert kernels.count_lines(data) == len(re.findall(rb"[^\n]*\n|[^\n]+", data))
    assert kernels.count_words(data) == len(data.split())


@given(st.binary(max_size=200), st.binary(max_size=200))
@FEW
def test_crc32c(first: bytes, second: bytes) -> None:
    def bitwise(data: bytes) -> int:
        value = 0xFFFFFFFF
        for byte in data:
            value ^= byte
            for _ in range(8):
                value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        return value ^ 0xFFFFFFFF

    whole = kernels.crc32c(first + second)
    assert whole == bitwise(first + second)
    assert kernels.crc32c(second, kernels.crc32c(first)) == whole


@given(st.binary(max_size=300))
@FEW
def test_base64(data: bytes) -> None:
    encoded = base64.b64encode(data)
    assert kernels.b64encode(data) == encoded
    assert kernels.b64decode(encoded) == kernels.b64decode(encoded, validate=True) == data


@given(st.text("AZaz09+/=\n-", max_size=40).map(str.encode))
@FEW
def test_base64_of_anything(text: bytes) -> None:
    try:
        expected = base64.b64decode(text)
    except binascii.Error:
        with pytest.raises(binascii.Error, match=r"\w"):
            kernels.b64decode(text)
    else:
        assert kernels.b64decode(text) == expected


@needs_re2
@given(
    ascii_text,
    st.sampled_from(
        [rb"a", rb"a+b", rb"(a|b)*", rb"\s+", rb"\w", rb"[^a]", rb"b?", rb"^a", rb"a\Z"]
    ),
)
@FEW
def test_matches(data: bytes, pattern: bytes) -> None:
    expected = [match.span() for match in re.finditer(pattern, data)]
    assert kernels.find_all(pattern, data) == expected
    assert kernels.count_matches(pattern.decode(), data) == len(expected)


@needs_re2
@pytest.mark.parametrize("pattern", ["(", "a**", "[", r"(?P<n>", r"\1"])
def test_invalid_patterns_are_value_errors(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        kernels.find_all(pattern, b"abc")


@needs_re2
def test_a_pattern_of_other_letters_is_given_as_bytes() -> None:
    """Which bytes the letters stand for is for the caller to say: "[\u00e9]" would be two bytes."""
    with pytest.raises(ValueError, match="pattern must be ASCII"):
        kernels.count_matches("\u00e9", b"")
    assert kernels.count_matches("\u00e9".encode(), "caf\u00e9".encode()) == 1


# --- digests ---


@needs_openssl
@given(st.binary(max_size=5000), st.sampled_from(["md5", "sha1", "sha256", "blake2b", "sha3_512"]))
@FEW
def test_digests(data: bytes, algorithm: str) -> None:
    expected = hashlib.new(algorithm, data).digest()
    assert kernels.hash_bytes(data, algorithm) == expected
    assert kernels.hash_many([data, bytearray(data)], algorithm) == [expected, expected]
    assert kernels.sha256(data) == hashlib.sha256(data).digest()


@needs_openssl
def test_many_small_digests_in_order() -> None:
    items = [os.urandom(1 + i % 100) for i in range(5000)]
    expected = [hashlib.sha256(item).digest() for item in items]
    assert kernels.hash_many(iter(items)) == expected
    assert gilpool.spawn(kernels.hash_many, items).get() == expected
    assert kernels.hash_many([]) == []


@needs_openssl
@pytest.mark.parametrize("algorithm", ["no such", "shake_128", "", "sha256\0"])
def test_unknown_algorithms_are_value_errors(algorithm: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        kernels.hash_bytes(b"", algorithm)


# --- numbers ---

CODES = {"i": st.integers(-(2**31), 2**31 - 1), "q": st.integers(-(2**63), 2**63 - 1)}
FLOATS = {"f": 32, "d": 64}


def order_of(value: float) -> tuple[bool, float, float]:
    """NaN last, and -0.0 before 0.0."""
    return (math.isnan(value), 0.0 if math.isnan(value) else value, math.copysign(1, value))


@pytest.mark.parametrize("code", ["i", "q", "f", "d"])
def test_sort_and_argsort(code: str) -> None:
    numbers = CODES[code] if code in CODES else st.floats(width=FLOATS[code])

    @given(st.lists(numbers, max_size=200))
    @FEW
    def check(values: list[float]) -> None:
        plain = array.array(code, values)
        places = kernels.argsort(plain)
        assert places.format == "q"
        expected = sorted(
            range(len(plain)),
            key=lambda i: (math.isnan(plain[i]), 0 if math.isnan(plain[i]) else plain[i], i),
        )
        assert places.tolist() == expected
        kernels.sort(plain)
        assert list(map(repr, plain)) == list(
            map(repr, sorted(array.array(code, values), key=order_of))
        )

    check()


def bad_buffers() -> list[tuple[Any, type[Exception], str]]:
    return [
        (b"abcdefgh", TypeError, "float64"),
        (array.array("h", [1]), TypeError, "float64"),
        (array.array("d", [1]).tolist(), TypeError, "bytes-like"),
        (memoryview(array.array("d", [1])).toreadonly(), TypeError, "writable"),
        (memoryview(array.array("d", [1, 2, 3]))[::2], BufferError, "contiguous"),
        (
            memoryview(bytearray(32)).cast("d", [2, 2]),
            ValueError,
            "1 dimension",
        ),
    ]


@pytest.mark.parametrize("case", range(6))
def test_sort_refuses(case: int) -> None:
    buffer, error, words = bad_buffers()[case]
    with pytest.raises(error, match=words):
        kernels.sort(buffer)


def test_argsort_checks_its_output() -> None:
    values = array.array("d", [3, 1, 2])
    out = array.array("q", [0, 0, 0])
    assert kernels.argsort(values, out) is out
    assert list(out) == [1, 2, 0]
    with pytest.raises(ValueError, match="3 items"):
        kernels.argsort(values, array.array("q", [0]))
    with pytest.raises(TypeError, match="int64"):
        kernels.argsort(values, array.array("d", [0, 0, 0]))
    numbers = array.array("q", [3, 1, 2])
    with pytest.raises(ValueError, match="overlap"):
        kernels.argsort(numbers, numbers)
    assert list(numbers) == [3, 1, 2]
    with pytest.raises(TypeError, match="writable"):
        kernels.argsort(values, memoryview(out).toreadonly())


def matrix(rows: list[list[float]]) -> memoryview:
    flat = array.array("d", [value for row in rows for value in row])
    return memoryview(flat).cast("B").cast("d", [len(rows), len(rows[0])])


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.randoms())
@FEW
def test_matmul(rows: int, inner: int, columns: int, random: Any) -> None:
    a = [[float(random.randint(-9, 9)) for _ in range(inner)] for _ in range(rows)]
    b = [[float(random.randint(-9, 9)) for _ in range(columns)] for _ in range(inner)]
    expected = [
        [sum(a[i][k] * b[k][j] for k in range(inner)) for j in range(columns)] for i in range(rows)
    ]
    assert kernels.matmul(matrix(a), matrix(b)).tolist() == expected
    out = matrix([[7.0] * columns for _ in range(rows)])
    assert kernels.matmul(matrix(a), matrix(b), out) is out
    assert out.tolist() == expected


def test_matmul_of_more_than_a_block() -> None:
    n = 300
    ones = matrix([[1.0] * n for _ in range(3)])
    wide = matrix([[float(j) for j in range(n)] for _ in range(n)])
    assert kernels.matmul(ones, wide).tolist() == [[float(n * j) for j in range(n)]] * 3


def test_matmul_refuses_before_any_work() -> None:
    a, b = matrix([[1.0, 2.0]]), matrix([[1.0], [2.0]])
    with pytest.raises(ValueError, match="as many columns"):
        kernels.matmul(a, a)
    with pytest.raises(ValueError, match=r"\(1, 1\)"):
        kernels.matmul(a, b, matrix([[0.0, 0.0]]))
    with pytest.raises(TypeError, match="writable"):
        kernels.matmul(a, b, matrix([[0.0]]).toreadonly())
    with pytest.raises(ValueError, match="2 dimensions"):
        kernels.matmul(array.array("d", [1.0]), b)
    square = matrix([[3.0]])
    unaligned = memoryview(bytearray(9))[1:].cast("d", [1, 1])
    with pytest.raises(ValueError, match="b must be aligned"):
        kernels.matmul(b, unaligned)
    with pytest.raises(ValueError, match="out must not overlap"):
        kernels.matmul(matrix([[1.0]]), square, square)
    with pytest.raises(TypeError, match="float64"):
        kernels.matmul(memoryview(bytearray(4)).cast("f", [1, 1]), b)


@given(st.integers(0, 3000))
@FEW
def test_count_primes(n: int) -> None:
    assert kernels.count_primes(n) == sum(
        all(m % d for d in range(2, math.isqrt(m) + 1)) for m in range(2, n)
    )


def test_count_primes_over_many_segments() -> None:
    assert kernels.count_primes(10**7) == 664_579


def test_monte_carlo_pi() -> None:
    assert kernels.monte_carlo_pi(1_000_000, 1) == kernels.monte_carlo_pi(1_000_000, 1)
    assert kernels.monte_carlo_pi(1_000_000, 1) != kernels.monte_carlo_pi(1_000_000, 2)
    # Ten standard deviations.
    assert abs(kernels.monte_carlo_pi(1_000_000, 1) - math.pi) < 10 * 1.65e-3
    with pytest.raises(ValueError, match="samples"):
        kernels.monte_carlo_pi(0)


def test_mandelbrot() -> None:
    def steps(c: complex, most: int) -> int:
        z, count = 0j, 0
        while count < most and z.real * z.real + z.imag * z.imag <= 4.0:
            z, count = z * z + c, count + 1
        return count

    picture = kernels.mandelbrot(12, 8, 30).tolist()
    assert picture == [
        [steps(complex(-2 + 0.25 * (x + 0.5), -1 + 0.25 * (y + 0.5)), 30) for x in range(12)]
        for y in range(8)
    ]
    with pytest.raises(ValueError, match="must not be 0"):
        kernels.mandelbrot(0, 5)


# --- numbers as arguments ---


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: kernels.count_primes(-1), ValueError),
        (lambda: kernels.count_primes(-(2**80)), ValueError),
        (lambda: kernels.count_primes(2**80), OverflowError),
        (lambda: kernels.count_primes(2**64 - 1), OverflowError),
        (lambda: kernels.count_primes(1.5), TypeError),
        (lambda: kernels.busy(-1), ValueError),
        (lambda: kernels.busy(math.nan), ValueError),
        (lambda: kernels.busy(math.inf), ValueError),
        (lambda: kernels.busy("1"), TypeError),
        (lambda: kernels.crc32c(b"", 2**32), OverflowError),
        (lambda: kernels.mandelbrot(1, 1, 2**40), OverflowError),
        (lambda: kernels.mandelbrot(2**40, 2**40), MemoryError),
    ],
)
def test_numbers_out_of_range(call: Callable[[], object], error: type[Exception]) -> None:
    with pytest.raises(error):
        call()


# --- files ---


def test_files_come_back_as_they_were_written(tmp_path: Path) -> None:
    path, copy = tmp_path / "ä file", tmp_path / "copy"
    data = os.urandom(300_000)
    assert kernels.write_file(path, data, fsync=True) == len(data)
    assert kernels.copy_file(str(path), os.fsencode(copy)) == len(data)
    assert path.read_bytes() == kernels.read_file(copy) == data
    assert sorted(os.listdir(tmp_path)) == ["copy", "ä file"]  # nothing temporary stays


def test_stat_many_is_os_stat(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"abc")
    link.symlink_to(path)
    names = [n for n in dir(os.stat(path)) if n.startswith("st_")]
    for follow in (True, False):
        for target, found in zip(
            (path, link), kernels.stat_many([path, link], follow), strict=True
        ):
            expected = os.stat(target, follow_symlinks=follow)
            assert found == expected
            assert {n: getattr(found, n) for n in names} == {n: getattr(expected, n) for n in names}


BATCHES = ["read_files", "stat_many", pytest.param("hash_files", marks=needs_openssl)]


@pytest.mark.parametrize("name", BATCHES)
def test_errors_of_a_batch(name: str, tmp_path: Path) -> None:
    batch = getattr(kernels, name)
    good, missing = tmp_path / "good", str(tmp_path / "missing")
    good.write_bytes(b"x")
    with pytest.raises(FileNotFoundError) as caught:
        batch([good, missing, good])
    assert caught.value.filename == missing
    first, second, third = batch([good, missing, good], return_errors=True)
    assert first == third
    assert isinstance(second, FileNotFoundError)
    assert second.filename == missing
    with pytest.raises(TypeError, match=r"paths\[1\]"):
        batch([good, 5])
    with pytest.raises(TypeError, match="iterable"):
        batch(str(good))
    with pytest.raises(ValueError, match="null"):
        batch(["a\0b"])


@pytest.mark.parametrize("name", BATCHES)
def test_progress_of_a_batch(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    seen: list[tuple[int, int]] = []
    batch = getattr(kernels, name)
    results = batch([path] * 3000, progress=lambda done, total: seen.append((done, total)))
    assert len(results) == 3000
    assert seen[-1] == (3000, 3000)
    assert seen == sorted(seen)
    assert len(seen) < 100

    def fail(done: int, total: int) -> None:
        raise KeyError(total)

    with pytest.raises(KeyError):
        batch([path] * 10, progress=fail)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda d: kernels.read_file(d / "missing"), FileNotFoundError),
        (lambda d: kernels.read_file(d), IsADirectoryError),
        (lambda d: kernels.read_file("a\0b"), ValueError),
        (lambda d: kernels.read_file(3), TypeError),
        (lambda d: kernels.write_file(d / "no" / "where", b""), FileNotFoundError),
        (lambda d: kernels.write_file(d, b""), OSError),
        (lambda d: kernels.write_file(d / "file", "text"), TypeError),
        (lambda d: kernels.copy_file(d / "missing", d / "copy"), FileNotFoundError),
    ],
)
def test_files_that_are_not_there(
    call: Callable[[Path], object], error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error):
        call(tmp_path)
    assert os.listdir(tmp_path) == []


def test_an_empty_path_is_told_as_open_tells_it() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        kernels.read_file("")
    assert caught.value.filename == ""


REFUSED = """
    import gilpool, os, sys
    from gilpool import kernels

    directory = {directory!r}
    secret, target = os.path.join(directory, "secret"), os.path.join(directory, "target")
    if os.geteuid() == 0:  # who may do everything
        os.setuid(65534)
    for call in (
        lambda: kernels.read_file(secret),
        lambda: kernels.read_files([secret]),
        lambda: kernels.write_file(target, b"x"),
        lambda: kernels.copy_file(secret, target),
        lambda: kernels.copy_file(os.path.join(directory, "open"), target),
    ):
        try:
            call()
        except OSError as error:
            print(type(error).__name__, os.path.basename(error.filename))
    [error] = kernels.read_files([secret], return_errors=True)
    print(type(error).__name__, *sorted(os.listdir(directory)))
"""


def test_no_permission(run_script: Script) -> None:
    # Not below tmp_path, whose parents are closed to the user whom root becomes.
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "open").write_bytes(b"x")
        Path(directory, "secret").touch(mode=0o000)
        os.chmod(directory, 0o555)
        told = run_script(REFUSED.format(directory=directory)).stdout.splitlines()
        os.chmod(directory, 0o755)

    assert told == [
        "PermissionError secret",
        "PermissionError secret",
        "PermissionError target",
        "PermissionError secret",
        "PermissionError target",
        "PermissionError open secret",
    ]


def test_the_missing_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(gilpool._core._missing_kernels, "sha1024", "OpenSSL 9")
    with pytest.raises(AttributeError, match="built without OpenSSL 9"):
        _ = kernels.sha1024
    with pytest.raises(AttributeError, match="no_such"):
        _ = kernels.no_such
