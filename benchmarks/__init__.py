"""Benchmarks of gilpool beside named peers: `python -m benchmarks [NAME ...]`.

General layout, in the order in which a reader needs it:

- `declare`    what a benchmark says: contestants, the work they share, checks, targets
- `evidence`   how a contestant proves what really ran, and ready-made checks
- `measure`    one run of one contestant: wall, CPU, context switches
- `isolated`   one run in a fresh process (`child` is that process's side)
- `harness`    interleaved rounds of a whole group
- `results`    medians, pairwise ratios, verdicts on targets
- `machine`    on what, with which versions and under which load it ran
- `report`, `export`, `plot`, `progress`   table, JSON, picture, and the display meanwhile
- `pools`, `busy`, `distribution`, `honesty`   every pool behind the same words, work that computes,
  percentiles, proofs that a pool plays fair; `load_plot`, `ticker_plot`   two pictures of their own
- `catalogue`  the list of benchmarks; each one is a module of its own name
"""
