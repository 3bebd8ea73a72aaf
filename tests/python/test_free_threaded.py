"""A free-threaded interpreter gets its GIL turned on; where that is forbidden, gilpool refuses."""

import os
import subprocess
import sys
import sysconfig
import textwrap

import pytest

if not sysconfig.get_config_var("Py_GIL_DISABLED"):
    pytest.skip("this build of Python always has a GIL", allow_module_level=True)


def run(source: str, *options: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(source)],
        env=environment | environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


WORKS = """
    import sys
    import gilpool
    assert sys._is_gil_enabled()
    assert gilpool.Pool(4).map(abs, range(-50, 50)) == [abs(i) for i in range(-50, 50)]
"""


def test_the_import_turns_the_gil_on_and_python_says_so() -> None:
    result = run(WORKS)

    assert result.returncode == 0, result.stderr
    assert "RuntimeWarning: The global interpreter lock (GIL) has been enabled" in result.stderr
    assert "'gilpool._core'" in result.stderr


def test_with_the_gil_asked_for_nothing_is_said() -> None:
    result = run(WORKS, "-X", "gil=1", "-W", "error")

    assert (result.returncode, result.stderr) == (0, "")


def test_a_measurement_may_come_first() -> None:
    """The first other thread of a process stops all others: who starts it must let the GIL go."""
    result = run(
        """
        import time
        import gilpool.gil
        print(gilpool.gil.Probe().report(time.sleep, 0.001).verdict)
        """,
        "-X",
        "gil=1",
    )

    assert (result.returncode, result.stdout, result.stderr) == (0, "releases\n", "")


def test_who_holds_the_gil_is_known() -> None:
    source = "import gilpool; print(gilpool.features()['gil_words'])"

    result = run(source, "-X", "gil=1")

    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")


@pytest.mark.parametrize(
    ("options", "environ"),
    [(["-X", "gil=0"], {}), ([], {"PYTHON_GIL": "0"})],
    ids=["option", "environment"],
)
def test_with_the_gil_forced_off_the_import_fails_each_time(
    options: list[str], environ: dict[str, str]
) -> None:
    """Nothing would guard its queues: a crash at best, wrong results at worst."""
    source = """
        import sys
        for _ in range(2):
            try:
                import gilpool
            except ImportError as error:
                print(error)
            else:
                raise SystemError("it was imported")
        assert not sys._is_gil_enabled()
        assert not [name for name in sys.modules if name.startswith("gilpool")]
    """

    result = run(source, *options, "-W", "error", **environ)

    assert (result.returncode, result.stderr) == (0, "")
    first, second = result.stdout.splitlines()
    assert first == second
    assert first.startswith("gilpool needs the GIL")
