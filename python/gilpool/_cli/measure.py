"""The parent's side of a measurement: starts the child, reads its pipe, shows it, ends it.

One thread does all of it, and only in the main thread does it listen to signals. Whatever ends
`measure`, the child is gone when it returns or raises.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import IO, Any, Protocol, TypeAlias

from gilpool._cli.exits import NOT_MEASURED, SIGNAL_BASE, CommandError
from gilpool._cli.model import LineSplitter, RowResult, Session, UnreadableLineError
from gilpool._cli.rows import Parameters, Row

_STARTUP_LIMIT_S = 60.0
"""How long the child may take for what is not a call: starting, importing, ending."""
_SLOWNESS_LIMIT = 3.0
"""A row may take this many times all its calls one after the other before it counts as stuck."""
_TERM_GRACE_S = 0.3
_POLL_S = 0.05
_PIPE_BYTES = 1 << 20
"""Room for the stamps that arrive while a frame is drawn, so that no writer ever waits for us."""

_Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int

CHILD_PROGRAM = """\
import sys
sys.path[:] = sys.argv[2:]
from gilpool._cli.child import main
main(sys.argv[1])
"""
"""What the measuring process runs; it takes over our `sys.path`, so as to import this very package
wherever we were started."""


class Display(Protocol):
    """What shows a measurement while it runs."""

    @property
    def frame_seconds(self) -> float | None:
        """Time between two calls of `draw`; None: never call it."""

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def draw(self, session: Session, now_ns: int) -> None:
        """Shows the running row as it stands."""

    def finished(self, result: RowResult, session: Session) -> None:
        """Shows a row's result."""


def measure(parameters: Parameters, rows: Sequence[Row], display: Display) -> Session:
    """Runs `rows` in a child process and returns what it reported.

    Raises:
        CommandError: The child could not measure, or a signal (Ctrl-C, SIGTERM) ended it.
        BrokenPipeError: Nobody reads what `display` writes any more.
    """
    with _Signals() as signals, _Child(parameters, rows) as child, display:
        session = Session(rows)
        try:
            _pump(child, signals, session, display)
        except UnreadableLineError as error:
            raise CommandError(NOT_MEASURED, f"could not measure: {error}") from error
        return session


def _pump(child: _Child, signals: _Signals, session: Session, display: Display) -> None:
    """Moves what the child writes into `session` and onto `display`, until the child has ended."""
    splitter = LineSplitter()
    deadline = time.monotonic() + _STARTUP_LIMIT_S
    next_frame = time.monotonic() if display.frame_seconds is not None else float("inf")
    with selectors.DefaultSelector() as selector:
        selector.register(child.pipe, selectors.EVENT_READ)
        selector.register(signals.receiver, selectors.EVENT_READ)
        while True:
            ready = selector.select(max(0.0, min(deadline, next_frame) - time.monotonic()))
            signals.raise_received(session)
            if any(key.fd == child.pipe for key, _ in ready):
                data = os.read(child.pipe, 1 << 16)
                if not data:
                    break
                for line in splitter.feed(data):
                    result = session.feed(line)
                    if result is not None:
                        display.finished(result, session)
                deadline = time.monotonic() + _patience(session)
            now = time.monotonic()
            if now >= next_frame and display.frame_seconds is not None:
                display.draw(session, time.monotonic_ns())
                next_frame = time.monotonic() + display.frame_seconds
            if now >= deadline:
                raise CommandError(
                    NOT_MEASURED,
                    f"could not measure: the measuring process is stuck {_where(session)}",
                )
    ending = time.monotonic() + _STARTUP_LIMIT_S
    while not child.ended(_POLL_S):
        signals.raise_received(session)
        if time.monotonic() >= ending:
            raise CommandError(
                NOT_MEASURED, "could not measure: the measuring process does not end"
            )
    signals.raise_received(session)
    child.raise_failure(session)


def _patience(session: Session) -> float:
    """How long nothing may be heard before the child counts as stuck."""
    if session.running is None:
        return _STARTUP_LIMIT_S
    row = session.running.row
    return _STARTUP_LIMIT_S + _SLOWNESS_LIMIT * row.threads * row.ideal


def _where(session: Session) -> str:
    if session.running is not None:
        row = session.running.row
        return f"in row {row.number} ({row.runner}, {row.call})"
    return f"after {len(session.results)} of {len(session.rows)} rows"


class _Signals:
    """Turns SIGINT and SIGTERM into bytes on a socket, so that they interrupt only where we look.

    An exception raised from a handler could strike between starting the child and remembering it.
    """

    _HANDLED = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.receiver, self._sender = socket.socketpair()
        self.receiver.setblocking(False)
        self._sender.setblocking(False)
        self._previous: dict[int, _Handler] = {}
        self._previous_fd: int | None = None

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            for number in self._HANDLED:
                # Ignored from outside (nohup, a shell's background job) stays ignored.
                handler = signal.getsignal(number)
                if handler is not None and handler is not signal.SIG_IGN:
                    self._previous[number] = handler
                    signal.signal(number, lambda *_: None)
            self._previous_fd = signal.set_wakeup_fd(
                self._sender.fileno(), warn_on_full_buffer=False
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous_fd is not None:
            signal.set_wakeup_fd(self._previous_fd)
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self.receiver.close()
        self._sender.close()

    def raise_received(self, session: Session) -> None:
        """Raises CommandError if one of the signals has come."""
        try:
            numbers = self.receiver.recv(64)
        except BlockingIOError:
            return
        for number in numbers:
            if number in self._previous:
                name = "interrupted" if number == signal.SIGINT else "terminated"
                raise CommandError(SIGNAL_BASE + number, f"{name} {_where(session)}")


class _Child:
    """The measuring process, its pipe and its last words; it does not outlive the `with` block."""

    def __init__(self, parameters: Parameters, rows: Sequence[Row]) -> None:
        self._parameters = parameters
        self._rows = rows
        self.pipe = -1

    def __enter__(self) -> _Child:
        with contextlib.ExitStack() as kept, contextlib.ExitStack() as handed_over:
            try:
                self.pipe, writing_end = os.pipe()
                kept.callback(os.close, self.pipe)
                handed_over.callback(os.close, writing_end)
                self._stderr: IO[bytes] = kept.enter_context(tempfile.TemporaryFile())
                _widen(writing_end)
                self._process = subprocess.Popen(
                    self._command(writing_end),
                    pass_fds=(writing_end,),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._stderr,
                )
            except OSError as error:
                raise CommandError(
                    NOT_MEASURED, f"could not measure: the measuring process did not start: {error}"
                ) from error
            self._kept = kept.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._kept.close()

    def _command(self, writing_end: int) -> list[str]:
        settings = {
            "fd": writing_end,
            "parent": os.getpid(),
            "threads": self._parameters.threads,
            "kernel": self._parameters.kernel,
            "cores": self._parameters.cores,
            "ms": self._parameters.ms,
            "rows": [row.number for row in self._rows],
        }
        options = [f"-Xgil={sys._xoptions['gil']}"] if "gil" in sys._xoptions else []
        return [sys.executable, *options, "-c", CHILD_PROGRAM, json.dumps(settings), *sys.path]

    def ended(self, timeout: float) -> bool:
        """Whether the process is gone, after waiting for it no longer than `timeout`."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def raise_failure(self, session: Session) -> None:
        """Raises CommandError, with the reason, unless the ended process did all it had to."""
        status = self._process.returncode
        if session.done and status == 0:
            return
        if session.failure is not None:
            reason = session.failure
        elif status < 0:
            reason = (
                f"the measuring process was killed by {_signal_name(-status)} {_where(session)}"
            )
        else:
            reason = f"the measuring process ended with status {status} {_where(session)}"
        words = self._last_words()
        if words and session.failure is None:
            reason += f": {words}"
        raise CommandError(NOT_MEASURED, f"could not measure: {reason}")

    def _last_words(self) -> str:
        """The last line of the child's stderr."""
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - 4096))
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip()[:300] if lines else ""

    def _end(self) -> None:
        """Ends the process if it still runs; it has nothing to save."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_TERM_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _widen(pipe: int) -> None:
    """Makes the pipe hold more, where the system can; nothing depends on it."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
