"""On what the figures were measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

__all__ = ["machine"]

_PEERS = ("faster-fifo", "joblib", "loky", "mpire", "pebble", "pyzmq")


def machine() -> dict[str, str]:
    """Name and value of all that a figure depends on."""
    from ipcq import __version__
    from ipcq.backends.memory.mode import COMPILED, WHY_NOT

    return {
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "ipcq": f"{__version__}, {'compiled' if COMPILED else f'not compiled: {WHY_NOT}'}",
        "CPU": f"{len(_cpus())} of {_model()}",
        "system": f"{platform.system()} {platform.release()}",
        "load before the start": f"{os.getloadavg()[0]:.2f}",
        "peers": ", ".join(f"{name} {_version(name)}" for name in _PEERS),
    }


def _cpus() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
