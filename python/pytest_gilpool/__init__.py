"""The pytest plugin of gilpool: tests that say which call releases the GIL.

Installing gilpool is enough; nothing happens until a test uses the fixture `gil` or the marker
`releases_gil`::

    def test_compress_lets_other_threads_run(gil):
        gil.assert_releases(zlib.compress, bytes(100_000))

    @pytest.mark.releases_gil(min_released=0.9)
    def test_decode_releases():
        decode(FRAME)

docs/gil-guide.md tells what the assertions prove, and how.

PYTEST_DONT_REWRITE: there is no plain assert here, and pytest may find it imported.
"""

# General layout: `plugin` is what pytest loads and nothing but hooks; `_gil` is the class of the
# fixture, `_overlap` its timing assertions, `_marker` the marker, `_settings` the options,
# `_verdicts` what is kept of each verdict and how the summary shows it. This package stands beside
# gilpool and not in it, because pytest imports a plugin at every start, and importing any part of
# gilpool loads its native module: here that happens with the first assertion.

from pytest_gilpool._errors import GilAssertionError as GilAssertionError
from pytest_gilpool._gil import Gil as Gil
from pytest_gilpool._overlap import Overlap as Overlap
from pytest_gilpool._settings import GilInconclusiveWarning as GilInconclusiveWarning

__all__ = ["Gil", "GilAssertionError", "GilInconclusiveWarning", "Overlap"]
