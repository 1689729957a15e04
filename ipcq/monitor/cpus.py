"""How many CPUs this process may use: what it is bound to, and what its container may spend."""

from __future__ import annotations

import math
import os
from pathlib import Path

from .cgroup import ROOT, control_files, read

__all__ = ["usable_cpus"]


def usable_cpus() -> int:
    """The number of workers that keeps all CPUs busy; at least 1."""
    if hasattr(os, "sched_getaffinity"):
        bound = len(os.sched_getaffinity(0))
    else:
        bound = os.cpu_count() or 1
    return max(1, math.ceil(min(bound, quota())))


def quota(root: Path = ROOT) -> float:
    """CPUs that the control groups allow, the strictest of all that apply; infinite for no limit."""
    limits = [_limit(read(path)) for path in control_files("", "cpu.max", root)]
    limits += [
        _limit(f"{read(path)} {read(path.with_name('cpu.cfs_period_us'))}")
        for path in control_files("cpu", "cpu.cfs_quota_us", root)
    ]
    return min(limits, default=math.inf)


def _limit(text: str) -> float:
    """CPUs from ``quota period``, both in microseconds; ``max`` (version 2) and -1 (1) mean none."""
    try:
        spend, period = map(int, text.split())
    except ValueError:
        return math.inf
    return spend / period if spend > 0 and period > 0 else math.inf
