"""The built-in table: calls of the standard library, and a few whose verdicts are known.

Which of them release the GIL depends on the version of the interpreter and on how it was built:
that is why it is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from gilpool._cli.check_target import expression


@dataclass(frozen=True)
class SuiteCall:
    """One line of the table: an expression, and the statements that prepare it."""

    label: str
    setup: str = ""
    """Run once; `stack` is a `contextlib.ExitStack` that ends what is opened here."""
    known: str | None = None
    """The verdict, where it follows from what the call is documented to do; so the table checks the
    measurement, too."""

    def make(self, stack: ExitStack) -> Callable[[], object]:
        """The call, ready to be made."""
        return expression(self.label, self.setup, stack=stack).call


def matching(words: Sequence[str]) -> list[SuiteCall]:
    """The calls with one of the words in their labels; all of them if there are no words."""
    return [call for call in TABLE if not words or any(word in call.label for word in words)]


_TEXT = "text = 'the quick brown fox jumps over the lazy dog ' * 2_500"
_RECORDS = "records = [{'id': n, 'name': f'name {n}', 'tags': ['a', 'b']} for n in range(1_000)]"
_FILE = """\
import os, tempfile
file = stack.enter_context(tempfile.TemporaryFile(buffering=0))
file.write(bytes(1_000_000))
"""
_DATABASE = """\
import contextlib, sqlite3
database = stack.enter_context(contextlib.closing(sqlite3.connect(':memory:')))
database.execute('create table t (n integer)')
database.executemany('insert into t values (?)', ((n,) for n in range(10_000)))
"""
_SOCKETS = """\
import socket
left, right = map(stack.enter_context, socket.socketpair())
"""
_KERNELS = "from gilpool import kernels; data = bytes(1_000_000)"

TABLE = (
    # Waiting.
    SuiteCall("time.sleep(0.001)", "import time", "releases"),
    SuiteCall("threading.Event().wait(0.001)", "import threading", "releases"),
    SuiteCall(
        "lock.acquire(timeout=0.001)", "import threading; lock = threading.Lock(); lock.acquire()"
    ),
    SuiteCall("select.select([], [], [], 0.001)", "import select", "releases"),
    SuiteCall("subprocess.run(['true'])", "import subprocess"),
    SuiteCall("socket.getaddrinfo('localhost', 80)", "import socket"),
    SuiteCall("left.send(b'x'), right.recv(1)", _SOCKETS),
    # Files.
    SuiteCall("file.seek(0), file.read()", _FILE),
    SuiteCall("os.pwrite(file.fileno(), data, 0)", f"{_FILE}data = bytes(100_000)"),
    SuiteCall("os.fsync(file.fileno())", _FILE),
    SuiteCall("os.stat('/')", "import os"),
    SuiteCall("os.listdir('/')", "import os"),
    # Hashing and compressing.
    SuiteCall("hashlib.sha256(data)  # 1 KB", "import hashlib; data = bytes(1_000)"),
    SuiteCall("hashlib.sha256(data)  # 100 KB", "import hashlib; data = bytes(100_000)"),
    SuiteCall("hashlib.pbkdf2_hmac('sha256', b'word', b'salt', 1_000)", "import hashlib"),
    SuiteCall("zlib.crc32(data)  # 1 KB", "import zlib; data = bytes(1_000)"),
    SuiteCall("zlib.crc32(data)  # 100 KB", "import zlib; data = bytes(100_000)"),
    SuiteCall("zlib.compress(data)  # 100 KB", "import os, zlib; data = os.urandom(100_000)"),
    SuiteCall("zlib.decompress(data)", "import zlib; data = zlib.compress(bytes(100_000))"),
    SuiteCall("bz2.compress(data)  # 100 KB", "import bz2, os; data = os.urandom(100_000)"),
    SuiteCall("lzma.compress(data)  # 10 KB", "import lzma, os; data = os.urandom(10_000)"),
    SuiteCall("base64.b64encode(data)  # 100 KB", "import base64; data = bytes(100_000)"),
    # Text and data.
    SuiteCall("re.search('cats?$', text)", f"import re; {_TEXT}"),
    SuiteCall("text.encode()", _TEXT),
    SuiteCall("json.dumps(records)", f"import json; {_RECORDS}"),
    SuiteCall("json.loads(data)", f"import json; {_RECORDS}; data = json.dumps(records)"),
    SuiteCall("pickle.dumps(records)", f"import pickle; {_RECORDS}"),
    SuiteCall("pickle.loads(data)", f"import pickle; {_RECORDS}; data = pickle.dumps(records)"),
    SuiteCall("copy.deepcopy(records)", f"import copy; {_RECORDS}"),
    SuiteCall(
        "sorted(numbers)", "import random; numbers = [random.random() for _ in range(10_000)]"
    ),
    SuiteCall("sum(range(10_000))", known="holds"),
    SuiteCall("[n * n for n in range(10_000)]", known="holds"),
    SuiteCall("pow(3, n)", "n = 20_000", "holds"),
    SuiteCall("bytes(data)  # 1 MB", "data = bytearray(1_000_000)"),
    # A database.
    SuiteCall("database.execute('select sum(n) from t').fetchall()", _DATABASE),
    SuiteCall("database.execute('select n from t').fetchall()", _DATABASE),
    # The same C function twice: ctypes releases the GIL for a CDLL, and keeps it for a PyDLL.
    SuiteCall("CDLL(None).usleep(1_000)", "from ctypes import CDLL", "releases"),
    SuiteCall("PyDLL(None).usleep(1_000)", "from ctypes import PyDLL", "holds"),
    # gilpool's own pairs.
    SuiteCall("gilpool.sleep_nogil(1)", "import gilpool", "releases"),
    SuiteCall("gilpool.sleep_gil(1)", "import gilpool", "holds"),
    SuiteCall("kernels.crc32c(data)  # 1 MB", _KERNELS, "releases"),
    SuiteCall("kernels.crc32c(data, release_gil=False)  # 1 MB", _KERNELS, "holds"),
)
"""Every call, in the order in which they are measured."""
