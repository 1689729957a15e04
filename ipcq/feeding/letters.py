"""What becomes of items that no queue takes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

__all__ = ["DeadLetter", "lines"]

DeadLetter = Callable[[Any, Exception], object]
"""Called with an item, and with why it was not pushed."""


def lines(path: str | os.PathLike[str]) -> DeadLetter:
    """Append a JSON line for each item to a file; it is on the disk when the next item is read.

    A line has the ``item`` where JSON can tell it, its ``repr``, and the ``error``: ``type`` and ``message``.
    """
    path = os.path.abspath(path)

    def keep(item: Any, error: Exception) -> None:
        told: dict[str, Any] = {"repr": repr(item)}
        try:
            json.dumps(item)
        except (TypeError, ValueError, RecursionError):
            pass
        else:
            told["item"] = item
        told["error"] = {"type": type(error).__name__, "message": str(error)}
        line = json.dumps(told).encode("ascii") + b"\n"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with open(handle, "ab", buffering=0) as file:
            file.write(line)
            os.fsync(handle)

    return keep
