"""What README and docstrings show is what happens."""

import doctest
import re
from pathlib import Path

import pytest

import gilpool
from conftest import Script

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_example_prints_what_the_readme_says(run_script: Script) -> None:
    """The best of three: the figure in it is rounded to 0.1 s, which a busy machine may miss."""
    code, output = re.findall(r"```(?:python|console)\n(.*?)```", README.read_text(), re.DOTALL)[
        1:3
    ]
    results = []
    for _ in range(3):
        result = run_script(code)
        assert (result.returncode, result.stderr) == (0, "")
        results.append(result.stdout)
        if result.stdout == output:
            return
    pytest.fail(f"printed {results}, the README says {output!r}")


@pytest.mark.parametrize(
    "name", [name for name in gilpool.__all__ if callable(getattr(gilpool, name))]
)
def test_docstring_examples_run(name: str) -> None:
    finder = doctest.DocTestFinder(recurse=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in finder.find(getattr(gilpool, name), name, module=False):
        runner.run(test)

    assert runner.summarize().failed == 0


@pytest.mark.parametrize("name", gilpool.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    if name in ("__version__", "default_pool"):
        return
    assert getattr(gilpool, name).__doc__
