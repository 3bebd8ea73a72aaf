"""The native core beside native peers: `python -m benchmarks cpp`.

- `compare`   the contests, their peers and targets
- `program`   one run of one contestant: a fresh process of the compiled `gilpool_bench`
- `*.cpp`     that program: a file per contest, `peers/` with a header per peer
"""

from benchmarks.cpp.compare import BENCHMARK

__all__ = ["BENCHMARK"]
