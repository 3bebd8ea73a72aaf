"""`gilpool.gil.trace`: records what tasks did with the GIL, as a file for Perfetto."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import stat
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from gilpool import _core

MOST_RECORDS = 20_000_000
"""One GB; what comes when they are there is counted as dropped."""

_PIECES_AT_A_TIME = 4096


def trace(path: str | os.PathLike[str]) -> Trace:
    """Record what gilpool's tasks do with the GIL, for as long as a block runs.

    The file is Chrome trace JSON: open it in https://ui.perfetto.dev, merge it with others of
    CLOCK_MONOTONIC (viztracer's, ``perf -k mono``), or draw it with ``gilpool trace --plot``. A
    track per worker has a slice per task, with the waits for the GIL in it and an arrow from the
    spawn to the start; the track "gil" below says when the thread held the lock, did without it or
    waited for it. Each slice's arguments are microseconds: ``queued_us``, ``gil_wait_us``,
    ``held_us``, ``released_us``, ``cpu_us``; and the ``outcome``. Waits of gilpool's own
    (``sleep``, ``get``, ``join`` ...) and the wait for a task's turn are stamped exactly; what
    other code does with the GIL is seen by a native thread that looks once a millisecond
    (``sampled``), so it is null for tasks that no look fell into; where a busy machine left more
    than 10 ms between two looks, that time is ``unseen_us``. The CPU clock is not read for
    tasks shorter than 50 us, nor, because that costs time, twice within 50 us: ``cpu_us`` is null
    where no reading was close enough to be right within a tenth of the task.

    Kernels have slices where they ran. Waits that need no thread (a spawned ``gilpool.sleep`` or
    ``wait_fd``) are async events, from the spawn until their task learned that they were over.

    Args:
        path: Where the file goes when the block is left; with the end ``.gz`` it is compressed. It
            is written under another name and then put in place, so it is never half there.

    Raises:
        ValueError: The path is empty.
        OSError: On entry, if no file can be made there; on leaving, if it cannot be written.
        RuntimeError: On entry, if a trace is being recorded already, by whichever thread.

    An exception in the block, ``sys.exit`` included, does not keep the file from being written. In
    a child forked meanwhile nothing is recorded or written.

    Example:
        >>> import gilpool, os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "out.json")
        >>> with gilpool.gil.trace(path) as recorded:
        ...     gilpool.spawn(gilpool.sleep_gil, 2).get()
        >>> recorded.tasks, recorded.dropped_events
        (1, 0)

    Thread safety: may be entered by any thread, and records the tasks of all.
    GIL: recording needs none and allocates nothing; the file is written with it.
    """
    return Trace(path)


class Trace:
    """What `trace` returns: the recording that begins and ends with the block."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fsdecode(os.fspath(path))
        if not self.path:
            raise ValueError("path must not be empty")
        self.tasks = 0
        """Tasks, native work and waits that ran; known once the block is left."""
        self.dropped_events = 0
        """What did not fit into the buffers; known once the block is left."""
        self._file: _File | None = None
        self._process = 0
        self._begun = False

    def __repr__(self) -> str:
        if self._file is not None:
            state = "recording"
        else:
            state = f"ended, tasks={self.tasks}" if self._begun else "not begun"
        return f"<Trace path={self.path!r} {state} at {id(self):#x}>"

    def __enter__(self) -> Trace:
        if self._begun:
            raise RuntimeError("this trace has been used; make another one with gilpool.gil.trace")
        file = _File(self.path)
        try:
            _core._trace_start(MOST_RECORDS)
        except BaseException:
            file.discard()
            raise
        self._begun = True
        self._file = file
        self._process = os.getpid()
        atexit.register(self._finish)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._finish()

    def _finish(self) -> None:
        """Ends the recording and writes the file; does nothing the second time."""
        atexit.unregister(self._finish)
        file, self._file = self._file, None
        if file is None or os.getpid() != self._process:
            return
        # Nobody who imports gilpool pays for what only the end of a trace needs.
        from gilpool._trace_events import document
        from gilpool._trace_records import build

        try:
            raw = _core._trace_stop()
            names = {
                thread.native_id: thread.name
                for thread in threading.enumerate()
                if thread.native_id is not None
            }
            recording = build(raw)
            # The records are not needed any more; the text that they become is larger.
            raw.clear()
            self.tasks = len(recording.runs) + len(recording.waits)
            self.dropped_events = recording.dropped
            file.write(document(recording, names, _core.__version__))
        except BaseException:
            file.discard()
            raise


class _File:
    """A file that is there as a whole or not at all.

    Device files and pipes cannot be replaced and are written to directly.
    """

    def __init__(self, path: str) -> None:
        self._given = path
        self._path = os.path.realpath(path)
        self._unfinished: str | None = None
        with contextlib.suppress(FileNotFoundError):
            mode = os.stat(self._path).st_mode
            if not stat.S_ISREG(mode):
                # A directory is refused here; what else there is gets opened when it is written.
                if stat.S_ISDIR(mode):
                    open(path, "wb").close()
                return
            if not os.access(self._path, os.W_OK):
                open(path, "ab").close()
        folder, name = os.path.split(self._path)
        unfinished = os.path.join(folder, f".{name}.{os.urandom(4).hex()}.part")
        try:
            open(unfinished, "xb").close()
        except OSError as error:
            error.filename = path
            raise
        self._unfinished = unfinished

    def write(self, text: Iterator[str]) -> None:
        """Writes the whole text and puts the file in place."""
        with open(self._unfinished or self._path, "wb") as raw:
            if self._given.endswith(".gz"):
                # Level 3: twice as fast as the default, and the file a tenth larger.
                import gzip

                with gzip.open(raw, "wb", compresslevel=3) as packed:
                    _write_in_chunks(text, packed)
            else:
                _write_in_chunks(text, raw)
        if self._unfinished is not None:
            os.replace(self._unfinished, self._path)
            self._unfinished = None

    def discard(self) -> None:
        """Removes what has been begun."""
        if self._unfinished is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._unfinished)
            self._unfinished = None


def _write_in_chunks(text: Iterator[str], sink: Any) -> None:
    while pieces := list(itertools.islice(text, _PIECES_AT_A_TIME)):
        sink.write("".join(pieces).encode())
