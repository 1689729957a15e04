"""How many threads numeric libraries may start: those of all workers as many as there are CPUs."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

__all__ = ["Limited", "limited", "set_threads"]

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class Limited:
    """Called first in a worker process, with the arguments of the user's initializer."""

    def __init__(self, threads: int, initializer: Callable[..., object] | None) -> None:
        self._threads = threads
        self._initializer = initializer

    def __repr__(self) -> str:
        return f"<Limited to {self._threads} threads, then {self._initializer!r}>"

    def __call__(self, *args: Any) -> None:
        """Set what the libraries read when they are imported, and tell those that are imported already."""
        if not any(name in os.environ for name in _VARIABLES):
            set_threads(self._threads)
        if self._initializer is not None:
            self._initializer(*args)


def limited(threads: int, initializer: Callable[..., object] | None) -> Limited:
    """An initializer that leaves each worker so many threads, at least one, unless the user set it."""
    return Limited(max(1, threads), initializer)


def set_threads(threads: int) -> None:
    """Have the numeric libraries of this process use so many threads at the most."""
    os.environ.update(dict.fromkeys(_VARIABLES, str(threads)))
    try:  # the main module, which a worker imports first, may have imported NumPy
        threadpoolctl: Any = import_module("threadpoolctl")
    except ImportError:  # only what is imported from now on is limited
        return
    threadpoolctl.threadpool_limits(threads)
