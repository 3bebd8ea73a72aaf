"""What a user installs: complete, importable anywhere, one version, and quiet on import."""

import email
import importlib.metadata
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import gilpool
from gilpool import _core

PROJECT = Path(__file__).resolve().parents[2]
BUILD_MAY_TAKE = 540
"""Seconds: a build is a dozen on two idle cores, many times that on a machine that others load."""
pytestmark = pytest.mark.timeout(BUILD_MAY_TAKE + 60)

MODULE = f"gilpool/_core{sysconfig.get_config_var('EXT_SUFFIX')}"


def declared_version() -> str:
    """The version in pyproject.toml, the one place that states it."""
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    versions = re.findall(r'^version = "(.+)"$', text, flags=re.MULTILINE)
    assert len(versions) == 1
    return str(versions[0])


def run(*command: str | Path, cwd: Path) -> str:
    """Run `command` in `cwd` and return what it printed; its whole output is shown if it fails."""
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_MAY_TAKE,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@dataclass(frozen=True)
class Distributions:
    """The two archives of one release."""

    sdist: Path
    wheel: Path


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Build the sdist, then the wheel from that sdist, as a release does."""
    output = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", output, PROJECT, cwd=output)
    (sdist,) = output.glob("*.tar.gz")
    (wheel,) = output.glob("*.whl")
    return Distributions(sdist, wheel)


@pytest.fixture(scope="module")
def installed_python(
    distributions: Distributions, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The interpreter of a virtual environment that holds the wheel and nothing else."""
    environment = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment)
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-index", "--no-deps", distributions.wheel, cwd=environment)
    return python


@pytest.mark.slow
def test_wheel_contains_the_package_and_nothing_else(distributions: Distributions) -> None:
    """No test, source or tool of the project lands in site-packages."""
    with zipfile.ZipFile(distributions.wheel) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
    package = {name for name in names if name.startswith(("gilpool/", "pytest_gilpool/"))}
    metadata = f"gilpool-{declared_version()}.dist-info/"

    assert {name for name in names - package if not name.startswith(metadata)} == set()
    python_files = {
        path.relative_to(PROJECT / "python").as_posix()
        for pattern in ("*.py", "*.pyi", "py.typed")
        for name in ("gilpool", "pytest_gilpool")
        for path in (PROJECT / "python" / name).rglob(pattern)
    }
    assert {"gilpool/py.typed", "gilpool/_core.pyi", "pytest_gilpool/py.typed"} <= python_files
    assert package == python_files | {MODULE}


@pytest.mark.slow
def test_sdist_contains_the_sources_and_no_products(distributions: Distributions) -> None:
    """The sdist carries what a packager needs: sources, tests, licence; nothing that was built."""
    with tarfile.open(distributions.sdist) as sdist:
        members = [member.name.partition("/")[2] for member in sdist if member.isfile()]
    cpp_sources = {
        path.relative_to(PROJECT).as_posix()
        for directory in ("csrc", "tests/cpp")
        for path in (PROJECT / directory).rglob("*.[ch]pp")
    }

    assert cpp_sources <= set(members)
    assert {"CMakeLists.txt", "LICENSE", "README.md", "pyproject.toml", "setup.py"} <= set(members)
    assert "tests/python/test_packaging.py" in members
    products = (".so", ".o", ".a", ".pyc")
    assert [name for name in members if name.endswith(products) or "build/" in name] == []


@pytest.mark.slow
def test_wheel_works_in_an_empty_environment(installed_python: Path) -> None:
    """The built wheel imports and its command line answers where nothing else is installed."""
    home = installed_python.parent
    script = "import gilpool, gilpool._core as core; print(gilpool.__version__, core.__file__)"

    version, module = run(installed_python, "-c", script, cwd=home).split(maxsplit=1)
    assert version == declared_version()
    assert Path(module.strip()).is_relative_to(home.parent)
    assert "usage: " in run(installed_python, "-m", "gilpool", "--help", cwd=home)
    assert "usage: " in run(home / "gilpool", "--help", cwd=home)


@pytest.mark.slow
def test_wheel_metadata(distributions: Distributions) -> None:
    """The wheel states the version, needs nothing at run time, and says it is a binary one."""
    with zipfile.ZipFile(distributions.wheel) as wheel:
        info = f"gilpool-{declared_version()}.dist-info"
        metadata = email.message_from_bytes(wheel.read(f"{info}/METADATA"))
        tags = email.message_from_bytes(wheel.read(f"{info}/WHEEL"))
        entry_points = wheel.read(f"{info}/entry_points.txt").decode()

    requirements = metadata.get_all("Requires-Dist") or []
    assert metadata["Version"] == declared_version()
    assert [line for line in requirements if "extra ==" not in line] == []
    assert set(metadata.get_all("Provides-Extra") or []) >= {"cli", "plot"}
    assert metadata["License-Expression"] == "MIT"
    assert tags["Root-Is-Purelib"] == "false"
    assert "[pytest11]\ngilpool = pytest_gilpool.plugin\n" in f"{entry_points}\n"


def test_one_version() -> None:
    """pyproject.toml, the installed metadata, the package and the native module agree."""
    expected = declared_version()

    assert importlib.metadata.version("gilpool") == expected
    assert gilpool.__version__ == expected
    assert _core.__version__ == expected


def test_import_is_quiet() -> None:
    """Importing starts no thread and loads neither rich nor matplotlib, which only extras bring."""
    script = """
import os, sys, threading
import gilpool
assert threading.enumerate() == [threading.main_thread()]
assert len(os.listdir("/proc/self/task")) == 1, "a native thread was started"
assert not {"rich", "matplotlib"} & set(sys.modules), "an optional part was loaded"
"""

    assert run(sys.executable, "-c", script, cwd=Path("/")) == ""
