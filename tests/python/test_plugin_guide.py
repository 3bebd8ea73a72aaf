"""docs/gil-guide.md is built and run: its extensions, its tests, its script, its table."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from _plugin_runs import LOADED
from gilpool._cli import check_suite

GUIDE = Path(__file__).parents[2] / "docs" / "gil-guide.md"
TITLED = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
SUMMARY = re.compile(r"^=+ GIL verdicts =+\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = dict(TITLED.findall(GUIDE.read_text()))
FILES = {title: body for title, body in BLOCKS.items() if "." in title}
CHAPTERS = {"pybind11": "pybind11", "cython": "Cython", "ctypes": None}
"""The chapters with a command that builds, and the module that the command needs."""
MAY_TAKE = 120
"""Seconds; a compiler takes five on an idle core and many times that on a busy machine."""
pytestmark = pytest.mark.timeout(4 * MAY_TAKE)


def shell(command: str, directory: Path) -> str:
    """Runs a command of the guide, with this interpreter's programs first on the path."""
    python = Path(sys.executable).parent
    result = subprocess.run(
        ["sh", "-euc", command],
        cwd=directory,
        env={
            **os.environ,
            "PATH": f"{python}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=MAY_TAKE,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the guide's files and what its commands have built from them."""
    missing = [name for name in ("cc", "c++") if shutil.which(name) is None]
    missing += [
        name for name in CHAPTERS.values() if name and importlib.util.find_spec(name) is None
    ]
    if missing:
        pytest.skip(f"the guide's extensions need {', '.join(missing)}")
    directory = tmp_path_factory.mktemp("guide")
    for name, body in FILES.items():
        (directory / name).write_text(body)
    for chapter in CHAPTERS:
        shell(BLOCKS[chapter].removeprefix("$ "), directory)
    return directory


@pytest.mark.slow
def test_the_extensions_pass_the_guides_tests(workplace: Path) -> None:
    command = BLOCKS["tests"].strip().removeprefix("$ ")
    options = "-W error -p no:cacheprovider -p no:hypothesispytest --gil-inconclusive=fail"

    told = shell(" ".join([command, *LOADED, options]), workplace)

    # Five tests and the regression that must be found, for each of the three extensions.
    assert re.search("15 passed, 3 xfailed", told), told
    assert "GIL verdicts" in told
    assert " fnv_pybind11.fnv1a " in told
    assert told.count("FAILED") == 3, told
    example = SUMMARY.search(GUIDE.read_text())
    assert example is not None
    shown = {line.split()[-1] for line in example[1].splitlines() if "::" in line}
    assert shown <= set(told.split()), "the guide shows tests that are not there"


def test_the_script_shows_what_waiting_costs(tmp_path: Path) -> None:
    """One computing thread costs a sleeper milliseconds, whatever else the machine does."""
    (tmp_path / "waiting.py").write_text(FILES["waiting.py"])

    told = shell("python waiting.py 0.3", tmp_path)

    lines = re.compile(
        r"(\d) threads compute: sleeps end +([\d.]+) ms late \(median\), +([\d.]+) ms \(99 %\)"
    )
    measured = lines.findall(told)
    assert [int(threads) for threads, _, _ in measured] == [0, 1, 2, 3]
    assert min(float(median) for threads, median, _ in measured if threads != "0") > 2
    shown = lines.findall(GUIDE.read_text())
    assert len(shown) == 4
    assert float(shown[1][1]) > 2


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        (["hashlib.sha256(data)  # 1 KB", "zlib.crc32(data)  # 1 KB"], "holds"),
        (["hashlib.sha256(data)  # 100 KB", "zlib.crc32(data)  # 100 KB"], "releases"),
        (["re.search", "json.", "pickle.", "deepcopy", "sorted", "base64", "pow("], "holds"),
        (["zlib.compress", "zlib.decompress", "bz2", "lzma", "pbkdf2"], "releases"),
        (["time.sleep", "lock.", "select(", "file.", "os.stat", "getaddrinfo"], "releases"),
        (["subprocess", "database.", "recv"], "releases"),
    ],
)
def test_the_table_of_the_standard_library_is_true_here(words: list[str], verdict: str) -> None:
    command = " ".join(f"'{word}'" for word in words)

    told = shell(f"python -m gilpool check --suite {command}", Path.cwd())

    verdicts = {line.split()[0] for line in told.splitlines()[2:-1]}
    assert verdicts == {verdict}, told
    assert len(told.splitlines()) - 3 == len(check_suite.matching(words))


def test_the_guide_names_every_option_of_the_plugin() -> None:
    text = GUIDE.read_text()

    for option in ("--gil-inconclusive", "--gil-budget", "gil_inconclusive", "gil_budget"):
        assert option in text
    assert f"its {len(check_suite.TABLE)} lines" in text
