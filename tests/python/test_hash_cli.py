"""`gilpool hash`: the lines of sha256sum, what cannot be read, and a bar for who watches."""

import hashlib
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import gilpool
from gilpool._cli.exits import MEASURED_OTHERWISE, OK, USAGE
from gilpool._cli.main import main

pytestmark = pytest.mark.skipif(
    not gilpool.features()["openssl"], reason="gilpool was built without OpenSSL 3"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "b").mkdir()
    (tmp_path / "a").write_bytes(b"first")
    (tmp_path / "b" / "second").write_bytes(b"")
    (tmp_path / "b" / "with\nbreak and \\").write_bytes(b"third")
    return tmp_path


def test_a_directory_stands_for_its_files(
    tree: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["hash", str(tree)]) == OK

    lines = capsysbinary.readouterr().out.splitlines()
    assert [line.split(b"  ")[1] for line in lines] == [
        os.fsencode(tree / "a"),
        os.fsencode(tree / "b" / "second"),
        os.fsencode(tree / "b") + b"/with\\nbreak and \\\\",
    ]
    assert lines[0].startswith(hashlib.sha256(b"first").hexdigest().encode())
    assert lines[2].startswith(b"\\" + hashlib.sha256(b"third").hexdigest().encode())


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_reads_it(tree: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["hash", str(tree)]) == OK

    sums = tree.with_name("sums")
    sums.write_bytes(capfdbinary.readouterr().out)
    subprocess.run(["sha256sum", "--check", "--quiet", sums], check=True, timeout=60)


def test_what_cannot_be_read_is_told_and_the_rest_hashed(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tree / "missing")
    assert main(["hash", missing, str(tree / "a"), "--algorithm", "md5"]) == MEASURED_OTHERWISE

    told = capsys.readouterr()
    assert told.out == f"{hashlib.md5(b'first').hexdigest()}  {tree / 'a'}\n"
    assert told.err == f"gilpool hash: {missing!r}: No such file or directory\n"


def test_an_unknown_algorithm_is_refused(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hash", str(tree), "--algorithm", "md55"]) == USAGE
    assert "unsupported hash algorithm: md55" in capsys.readouterr().err


def test_who_watches_sees_a_bar_and_the_output_stays_clean(tmp_path: Path) -> None:
    pytest.importorskip("rich")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (tmp_path / "file").write_bytes(b"x")
    watcher, terminal = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "gilpool", "hash", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(terminal)
    shown = b""
    # Nothing is written to the FIFO before the bar has told that the other file is done.
    while b"1/2" not in shown:
        shown += os.read(watcher, 4096)
    fifo.write_bytes(b"y")
    output, _ = child.communicate(timeout=60)
    os.close(watcher)

    assert child.returncode == 0
    assert output.decode() == "".join(
        f"{hashlib.sha256(data).hexdigest()}  {path}\n"
        for path, data in ((fifo, b"y"), (tmp_path / "file", b"x"))
    )
