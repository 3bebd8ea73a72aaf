"""On what, with which versions and under which load a benchmark ran.

A figure without its machine is worth nothing, and one from a busy machine little more, so both are
printed beside it.
"""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """One machine at the start of a run."""

    cpu: str
    #: Cores that this process may use: affinity and cgroup quota considered.
    cores: float
    kernel: str
    python: str
    #: False on a free-threaded build that runs without the GIL.
    gil: bool
    #: Version of each distribution of interest, None where it is absent.
    versions: dict[str, str | None]
    load_start: float

    @property
    def line(self) -> str:
        """The machine in one line."""
        cores = f"{self.cores:g} usable core{'' if self.cores == 1 else 's'}"
        known = [f"{name} {version}" for name, version in self.versions.items() if version]
        lock = "" if self.gil else " without GIL"
        parts = [self.cpu, cores, f"Linux {self.kernel}", f"Python {self.python}{lock}"]
        return " | ".join([*parts, *([", ".join(known)] if known else [])])

    def busy(self, load_end: float) -> str | None:
        """A warning when others were using the machine at the start, or None.

        The load at the end is the benchmark's own doing at least in part, so it decides nothing.
        """
        if self.load_start < 0.5 * self.cores:
            return None
        return (
            f"other work was running (load average {self.load_start:.2f} at the start, "
            f"{load_end:.2f} at the end, {self.cores:g} cores): "
            f"trust the ratios and the minima, not the seconds"
        )


def describe(packages: Iterable[str]) -> Machine:
    """Looks at this machine now."""
    return Machine(
        cpu=_cpu_model(),
        cores=usable_cores(),
        kernel=platform.release(),
        python=platform.python_version(),
        gil=has_gil(),
        versions={name: _version(name) for name in dict.fromkeys(packages)},
        load_start=load(),
    )


def load() -> float:
    """The one-minute load average."""
    return os.getloadavg()[0]


def has_gil() -> bool:
    """Whether this interpreter runs with the GIL now."""
    enabled = getattr(sys, "_is_gil_enabled", None)
    return True if enabled is None else bool(enabled())


def usable_cores(proc: Path = Path("/proc/self"), cgroups: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores by affinity, capped by the CPU quota of this process's cgroup and its parents."""
    allowed = getattr(os, "sched_getaffinity", None)
    cores = float(len(allowed(0)) if allowed else os.cpu_count() or 1)
    return min(cores, _quota(proc, cgroups))


def _quota(proc: Path, cgroups: Path) -> float:
    """The tightest CPU quota in cores, for cgroup v2 and v1; infinity without one."""
    tightest = math.inf
    try:
        memberships = proc.joinpath("cgroup").read_text().splitlines()
    except OSError:
        return tightest
    for membership in memberships:
        _, controllers, path = membership.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = cgroups if not controllers else cgroups / "cpu"
        folder = root / path.lstrip("/")
        for level in [folder, *folder.parents]:
            tightest = min(tightest, _quota_at(level, unified=not controllers))
            if level == root:
                break
    return tightest


def _quota_at(level: Path, *, unified: bool) -> float:
    try:
        if unified:
            quota, period = level.joinpath("cpu.max").read_text().split()
        else:
            quota = level.joinpath("cpu.cfs_quota_us").read_text().strip()
            period = level.joinpath("cpu.cfs_period_us").read_text().strip()
    except OSError:
        return math.inf
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
