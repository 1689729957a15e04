"""The worker's side of ``ipcq map``: an item in, its line of output out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from ..worker.handler import resolve
from .items import unpack
from .output import value_line

__all__ = ["Call", "prepare"]


class Call:
    """The handler: calls a function by its name and makes the line there, in parallel.

    So the command itself only moves bytes, and a value without a JSON form is its item's error.
    """

    def __init__(self, function: str) -> None:
        self._name = function
        self._function: Callable[[str], Any] | None = None

    def __reduce__(self) -> tuple[type[Call], tuple[str]]:
        return Call, (self._name,)

    def __repr__(self) -> str:
        return f"<Call {self._name}>"

    def __call__(self, data: bytes) -> bytes:
        """Run the function on the item in ``data``."""
        if self._function is None:
            self._function = resolve(self._name)
        item = unpack(bytes(data))
        return value_line(item, self._function(item))


def prepare(function: str, directory: str | None) -> None:
    """Make a process ready to call ``function``.

    What it prints goes to standard error: standard output carries the lines, standard input the
    items, and both belong to the command alone.

    Args:
        directory: made importable, as ``python -m`` does with the current one; None for none.

    Raises:
        HandlerNotFound: there is no such function.
    """
    os.dup2(2, 1)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    if directory is not None and directory not in sys.path:
        sys.path.insert(0, directory)
    resolve(function)
