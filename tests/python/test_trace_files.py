"""The file of a trace: whole or not there, whatever happens in the block or to the process."""

import os
import stat
import threading
from pathlib import Path

import pytest

import _trace_rules as rules
import gilpool
from conftest import Script
from gilpool.gil import trace


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_compressed_file_says_the_same(tmp_path: Path) -> None:
    out = tmp_path / "out.json.gz"
    with trace(out):
        gilpool.spawn(int).get()

    assert out.read_bytes()[:2] == b"\x1f\x8b"
    assert len(rules.check(out).tasks) == 1


def test_an_empty_trace_is_one(tmp_path: Path) -> None:
    with trace(str(tmp_path / "out.json")) as recording:
        pass

    assert (recording.tasks, recording.dropped_events) == (0, 0)
    assert rules.check(recording.path).tasks == []


def test_the_file_is_there_at_the_end_only(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text("old")
    with trace(out):
        assert out.read_text() == "old"
    rules.check(out)

    assert names_in(tmp_path) == ["out.json"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(out.stat().st_mode) == 0o666 & ~umask


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    with trace(tmp_path / "link.json"):
        pass

    assert (tmp_path / "link.json").is_symlink()
    rules.check(tmp_path / "real.json")


def test_what_is_no_file_is_written_to() -> None:
    with trace("/dev/null"):
        pass

    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("absent/out.json", FileNotFoundError),
        (".", IsADirectoryError),
        ("file/out.json", NotADirectoryError),
        ("x" * 300, OSError),
    ],
)
def test_a_bad_path_fails_at_once(tmp_path: Path, name: str, error: type[OSError]) -> None:
    (tmp_path / "file").touch()
    path = str(tmp_path / name)
    with pytest.raises(error) as caught, trace(path):
        pytest.fail("the block has been entered")

    assert caught.value.filename == path
    assert names_in(tmp_path) == ["file"]
    with trace(tmp_path / "good.json"):
        pass


@pytest.mark.parametrize("path", [None, 3])
def test_what_is_no_path_is_refused(path: object) -> None:
    with pytest.raises(TypeError), trace(path):  # type: ignore[arg-type]
        pytest.fail("the block has been entered")


@pytest.mark.parametrize("path", ["", b""])
def test_an_empty_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path must not be empty"):
        trace(path)


def test_a_trace_says_what_it_does(tmp_path: Path) -> None:
    recording = trace(tmp_path / "out.json")
    assert "out.json' not begun at 0x" in repr(recording)
    with recording:
        assert "out.json' recording at 0x" in repr(recording)
        gilpool.spawn(int).get()
    assert "out.json' ended, tasks=1 at 0x" in repr(recording)


def test_there_is_one_trace_at_a_time(tmp_path: Path) -> None:
    refused: list[BaseException] = []

    def other_thread() -> None:
        try:
            with trace(tmp_path / "other.json"):
                pass
        except RuntimeError as error:
            refused.append(error)

    with trace(tmp_path / "out.json") as recording:
        with pytest.raises(RuntimeError, match="one at a time"), trace(tmp_path / "inner.json"):
            pytest.fail("the block has been entered")
        thread = threading.Thread(target=other_thread)
        thread.start()
        thread.join()
        gilpool.spawn(int).get()
    assert len(refused) == 1
    assert names_in(tmp_path) == ["out.json"]
    assert len(rules.check(tmp_path / "out.json").tasks) == 1
    with pytest.raises(RuntimeError, match="make another"):
        recording.__enter__()


def test_a_trace_may_begin_and_end_in_different_threads(tmp_path: Path) -> None:
    recording = trace(tmp_path / "out.json")
    thread = threading.Thread(target=recording.__enter__)
    thread.start()
    thread.join()
    gilpool.spawn(int).get()
    recording.__exit__(None, None, None)

    assert len(rules.check(tmp_path / "out.json").tasks) == 1


def test_a_task_may_record_a_trace(tmp_path: Path) -> None:
    def record() -> int:
        with trace(tmp_path / "out.json"):
            return gilpool.spawn(int, "7").get()

    assert gilpool.spawn(record).get() == 7
    assert len(rules.check(tmp_path / "out.json").tasks) == 1


@pytest.mark.parametrize("error", [KeyError, SystemExit, KeyboardInterrupt])
def test_an_exception_in_the_block_does_not_lose_the_file(
    tmp_path: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error), trace(tmp_path / "out.json"):
        gilpool.spawn(int).get()
        raise error

    assert len(rules.check(tmp_path / "out.json").tasks) == 1


def test_what_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    recording = trace(folder / "out.json")
    with pytest.raises(FileNotFoundError), recording:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    assert names_in(tmp_path) == []
    with trace(tmp_path / "good.json"):
        pass


def test_a_forked_child_records_and_writes_nothing(run_script: Script, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = run_script(f"""
        import os, gilpool
        with gilpool.gil.trace({str(out)!r}):
            assert gilpool.spawn(int).get() == 0
            gilpool.default_pool.join()
            child = os.fork()
            assert gilpool.spawn(int).get() == 0
            if child == 0:
                with gilpool.gil.trace({str(tmp_path / "child.json")!r}):
                    assert gilpool.spawn(int, "3").get() == 3
            else:
                assert os.waitpid(child, 0)[1] == 0
        assert gilpool.spawn(int).get() == 0
    """)

    # Python 3.12+ warns, here an error, if a fork sees another thread.
    assert (result.returncode, result.stderr) == (0, "")
    assert len(rules.check(out).tasks) == 2
    assert [task.name for task in rules.check(tmp_path / "child.json").tasks] == ["int"]
    assert names_in(tmp_path) == ["child.json", "out.json", "script.py"]


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise SystemExit(3)"])
def test_exit_in_the_block(run_script: Script, tmp_path: Path, end: str) -> None:
    out = tmp_path / "out.json"
    result = run_script(f"""
        import sys, gilpool
        with gilpool.gil.trace({str(out)!r}):
            gilpool.spawn(int).get()
            {end}
    """)

    assert (result.returncode, result.stderr) == (3, "")
    assert len(rules.check(out).tasks) == 1


def test_a_trace_that_nobody_ends_is_written_at_exit(run_script: Script, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    result = run_script(f"""
        import gilpool, time
        recording = gilpool.gil.trace({str(out)!r})
        recording.__enter__()
        for _ in range(3):
            gilpool.spawn(time.sleep, 0.05)
    """)

    assert (result.returncode, result.stderr) == (0, "")
    recorded = rules.check(out)
    assert [task.args["outcome"] for task in recorded.tasks] == ["returned"] * 3
