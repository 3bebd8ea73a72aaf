"""Kernels give what the standard library gives, for whatever bytes, numbers and names there are."""

from __future__ import annotations

import array
import base64
import hashlib
import io
import math
import os
import re
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gilpool import kernels

# Long enough for the widest blocks of the native loops, and for more than one of them.
data = st.binary(max_size=600)
wordy = st.text("ab \t\n\v\f\r\x1c\x85\xa0", max_size=300).map(lambda s: s.encode("latin-1"))

quick = settings(max_examples=200, deadline=None)
files = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def outcome(function: Any, *args: Any, **kwargs: Any) -> Any:
    """What the call returns, or the class and words of what it raises."""
    try:
        return function(*args, **kwargs)
    except ValueError as error:
        return type(error), str(error)


@quick
@given(st.text("ab", max_size=200), st.text("ab", max_size=5))
def test_count(text: str, pattern: str) -> None:
    assert kernels.count(text.encode(), pattern.encode()) == text.count(pattern)


@quick
@given(wordy | data)
def test_lines_and_words(text: bytes) -> None:
    assert kernels.count_lines(text) == sum(1 for _ in io.BytesIO(text))
    assert kernels.count_words(text) == len(text.split())


def slow_crc32c(text: bytes, value: int = 0) -> int:
    value ^= 0xFFFFFFFF
    for byte in text:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


@quick
@given(data, st.integers(0, 2**32 - 1))
def test_crc32c(text: bytes, value: int) -> None:
    assert kernels.crc32c(text, value) == slow_crc32c(text, value)


@quick
@given(data)
def test_b64encode(text: bytes) -> None:
    encoded = kernels.b64encode(text)

    assert encoded == base64.b64encode(text)
    assert kernels.b64decode(encoded) == kernels.b64decode(encoded, validate=True) == text


almost_base64 = st.lists(
    st.sampled_from("ABcd01+/" * 4 + "==\n!-\xff") | st.just("QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"),
    max_size=20,
).map(lambda parts: "".join(parts).encode("latin-1"))


@quick
@given(almost_base64)
@example(b"Zm8=Zm9v")
@example(b"====")
def test_b64decode(text: bytes) -> None:
    assert outcome(kernels.b64decode, text) == outcome(base64.b64decode, text)


@quick
@given(almost_base64)
def test_b64decode_validates(text: bytes) -> None:
    ours = outcome(kernels.b64decode, text, validate=True)
    theirs = outcome(base64.b64decode, text, validate=True)

    # The rules are those of 3.13; before, some superfluous padding was taken. The words are those
    # of the releases that read on after padding.
    if isinstance(ours, bytes) or base64.b64decode(b"AA==AA==") != b"\0":
        assert ours == theirs
    elif isinstance(theirs, bytes):
        assert sys.version_info < (3, 13)
        assert "padding" in ours[1]


ALGORITHMS = ["md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s", "SHA256"]


@quick
@given(st.lists(data, max_size=5), st.sampled_from(ALGORITHMS))
def test_hashes(items: list[bytes], algorithm: str) -> None:
    expected = [hashlib.new(algorithm, item).digest() for item in items]

    assert kernels.hash_many(items, algorithm) == expected
    for item, digest in zip(items, expected, strict=True):
        assert kernels.hash_bytes(item, algorithm) == digest
        assert kernels.sha256(item) == hashlib.sha256(item).digest()


# Parts of which most combinations are patterns to both; the rest is to be an error to both.
parts = st.sampled_from(
    [
        *("a", "b", ".", "[ab]", "[^a]", "[]a]", "[a-]", "[\\s1]", "[^\\S]", "[[:a]]", "[\\b]"),
        *("\\s", "\\S", "\\w", "\\W", "\\d", "\\D", "\\b", "\\B", "\\A", "\\Z", "^", "|"),
        *("*", "+", "?", "*?", "+?", "{2}", "{,2}", "{1,}", "{1,2}", "{", "}", "{x}", "-", "\\-"),
        *("(?:a|b)", "(ab)*", "(?P<x>a)", "(?#no)", "(?i:A)", "(?s:.)", "(?m:^)", "(?m:a$)"),
        *("\\x61", "\\101", "\\0", "\\n", "\n", " ", "\\8", "\\q", "\\1", "(?=a)", "[b-a]"),
    ]
)
flags = st.sampled_from(["", "", "(?i)", "(?m)", "(?s)", "(?a)(?im)"])
texts = st.text("aabbAB1 \n\v{}]-[:\x00", max_size=15)


@settings(max_examples=400, deadline=None)
@given(flags, st.lists(parts, max_size=5), texts)
@example("", ["a", "*"], "baac")
@example("", [], "ab")
@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
def test_matches(flag: str, pieces: list[str], text: str) -> None:
    pattern = (flag + "".join(pieces)).encode()
    searched = text.encode()
    try:
        expected = [match.span() for match in re.finditer(pattern, searched)]
    except re.error:
        expected = None
    found = outcome(kernels.find_all, pattern, searched)
    if isinstance(found, tuple):
        assert found[1].startswith("invalid regular expression: ")
        return
    assert kernels.count_matches(pattern, searched) == len(found)
    # docs/regex-differences.md: what can be empty before it can be more goes on one byte further,
    # and what stands before a repetition may be a place.
    can_be_empty = re.search(rb"[?*|}]", pattern) is not None
    if not text and "\\B" in pieces:
        return
    if expected is not None and not (can_be_empty and any(a == b for a, b in expected)):
        assert found == expected


def same_bits(left: Any, right: Any) -> bool:
    return bool(left.tobytes() == right.tobytes())


NUMBERS = {
    "i": st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 3),
    "q": st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3),
    "f": st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, math.nan]),
    "d": st.floats() | st.sampled_from([0.0, -0.0, 1.0, math.nan]),
}


@pytest.mark.parametrize("code", NUMBERS)
@quick
@given(draw=st.data())
def test_sorting(code: str, draw: st.DataObject) -> None:
    values = array.array(code, draw.draw(st.lists(NUMBERS[code], max_size=40)))
    # Repeated, it is long enough for the other way of sorting.
    values *= draw.draw(st.sampled_from([1, 1, 40]))
    numbers = values.tolist()
    # NaN after everything, equal ones in order of place.
    order = sorted(
        range(len(numbers)),
        key=lambda i: (
            (math.isnan(numbers[i]), numbers[i]) if not math.isnan(numbers[i]) else (True, 0)
        ),
    )

    assert list(kernels.argsort(values)) == order
    assert same_bits(values, array.array(code, numbers)), "argsort changes nothing"
    kernels.sort(values)
    assert [repr(abs(n)) for n in values] == [repr(abs(numbers[i])) for i in order]


names = st.text(
    st.characters(exclude_characters="/\x00", exclude_categories=("Cs",)), min_size=1, max_size=40
).filter(lambda name: name not in {".", ".."} and len(os.fsencode(name)) < 256)


@files
@given(names, data, data)
def test_files(tmp_path: Path, name: str, before: bytes, after: bytes) -> None:
    path = tmp_path / name
    other = tmp_path / "other name, and longer than any of those that are drawn"
    path.write_bytes(before)
    path.chmod(0o751)

    assert kernels.read_file(path) == before
    assert kernels.write_file(str(path), after) == len(after)
    assert kernels.copy_file(os.fsencode(path), other) == len(after)
    assert path.read_bytes() == other.read_bytes() == after
    assert path.stat().st_mode == other.stat().st_mode
    assert kernels.hash_file(path) == hashlib.sha256(after).digest()
    assert kernels.stat_many([path, other]) == [os.stat(path), os.stat(other)]
    assert sorted(os.listdir(tmp_path)) == sorted([name, other.name])
    path.unlink()
    missing = [FileNotFoundError, bytes]
    assert [type(x) for x in kernels.read_files([path, other], return_errors=True)] == missing
    with pytest.raises(FileNotFoundError) as raised:
        kernels.read_file(path)
    assert raised.value.filename == str(path)


def test_buffers_of_every_kind() -> None:
    text = b"one two\nthree"
    for form in (bytearray(text), memoryview(text), array.array("B", text)):
        assert kernels.count_words(form) == 3
    assert kernels.count_lines(struct.pack("<3i", 10, 10, 10)) == 4
