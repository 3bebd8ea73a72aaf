"""See the GIL: does a call let go of it, for how much of its time, and who keeps it?

A verdict is a proof, not a timing: while a measurement runs nobody asks for the GIL by force, so a
waiting native thread can only get it if the call let it go of its own will; and a call counts as
holding it only after releases made for comparison have been noticed again and again, and none of
its own.

    >>> import time, gilpool
    >>> gilpool.gil.report(time.sleep, 0.001).verdict
    'releases'
    >>> gilpool.gil.assert_holds(sum, range(1000)).verdict
    'holds'
"""

# General layout: `_probe` measures one callable (`_rounds` is the method, `_callables` what can be
# measured, `_disturbances` what may have had a part), `_report` is the result, `_judge` judges it
# and `_assertions` demand. `_meter` watches the whole process; `gilpool._trace` records what its
# tasks do.

from gilpool._trace import trace as trace
from gilpool.gil._assertions import assert_holds as assert_holds
from gilpool.gil._assertions import assert_max_hold as assert_max_hold
from gilpool.gil._assertions import assert_releases as assert_releases
from gilpool.gil._assertions import holds as holds
from gilpool.gil._assertions import max_hold as max_hold
from gilpool.gil._assertions import releases as releases
from gilpool.gil._assertions import report as report
from gilpool.gil._meter import Meter as Meter
from gilpool.gil._probe import Probe as Probe
from gilpool.gil._report import GilReport as GilReport
from gilpool.gil._report import Inconclusive as Inconclusive

__all__ = [
    "GilReport",
    "Inconclusive",
    "Meter",
    "Probe",
    "assert_holds",
    "assert_max_hold",
    "assert_releases",
    "holds",
    "max_hold",
    "releases",
    "report",
    "trace",
]
