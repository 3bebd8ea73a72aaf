"""An unmodified blocking client of a real server overlaps on a Pool: redis-py and redis-server.

BLPOP on an empty list is a call that the *server* ends after 100 ms; meanwhile the client blocks in
recv(), which releases the GIL. The server is Debian's, started here on a Unix socket of its own.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import gilpool

redis = pytest.importorskip("redis", reason="the client package redis is not installed")

CALLS = 200
SECONDS = 0.1
TRIES = 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    """A redis-server that listens on the Unix socket whose path this yields."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    socket = tmp_path / "redis.sock"
    command = [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--hz", "100"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            with redis.Redis(unix_socket_path=str(socket)) as client:
                deadline = time.monotonic() + 30
                while True:
                    try:
                        client.ping()
                        break
                    except redis.ConnectionError:
                        assert process.poll() is None, "redis-server ended"
                        assert time.monotonic() < deadline, "redis-server does not answer"
                        time.sleep(0.01)
            yield socket
        finally:
            process.terminate()


def test_two_hundred_blocking_calls_overlap(server: Path) -> None:
    """20 s of waiting in less than 0.4 s; the best of three, since load can only add to it."""
    clients = [redis.Redis(unix_socket_path=str(server)) for _ in range(CALLS)]
    try:
        for client in clients:
            client.ping()  # connected before the clock runs
        times = []
        for _ in range(TRIES):
            pool = gilpool.Pool()
            begin = time.monotonic()
            tasks = [pool.spawn(client.blpop, "nothing", timeout=SECONDS) for client in clients]
            pool.join()
            times.append(time.monotonic() - begin)
            assert [task.get() for task in tasks] == [None] * CALLS
            if times[-1] < 0.4:
                return
        pytest.fail(f"{CALLS} calls of {SECONDS} s took {times}")
    finally:
        for client in clients:
            client.close()
