"""Subinterpreters are not supported; importing gilpool in one says so, whoever does it first."""

import sys

import pytest

from conftest import Script


@pytest.mark.parametrize("first", ["", "import gilpool; gilpool.spawn(int).get()"])
def test_importing_gilpool_there_is_a_clear_error(run_script: Script, first: str) -> None:
    module = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    result = run_script(f"""
        import {module} as interpreters
        {first}
        other = interpreters.create()
        outcome = interpreters.run_string(other, '''if True:
            import sys
            sys.path[:] = {sys.path!r}
            try:
                import gilpool
            except ImportError as error:
                # Newer interpreters may refuse before the module has a say.
                assert "gilpool" in str(error) and "subinterpreters" in str(error), error
            else:
                raise SystemError("it was imported")
        ''')
        assert outcome is None, outcome
        interpreters.destroy(other)
        import gilpool
        assert gilpool.spawn(pow, 2, 5).get(timeout=20) == 32
    """)

    assert (result.returncode, result.stderr) == (0, "")
