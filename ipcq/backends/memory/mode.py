"""Whether this process runs the compiled core or the same files as Python.

Compiled modules lie in a directory of their own, which is put before this package's when they are to
be used. ``IPCQ_PURE=1`` leaves them aside; ``IPCQ_REQUIRE_COMPILED=1`` refuses to run without them.
"""

from __future__ import annotations

import os
import sys
import zlib
from importlib.machinery import EXTENSION_SUFFIXES

__all__ = ["COMPILED", "SEARCH", "WHY_NOT"]

_HERE = os.path.dirname(__file__)
_COMPILED = os.path.join(_HERE, "_compiled")
_MODULES = (
    "machine", "bits", "slots", "chains", "ready", "delay", "index", "arena", "core",
    "accept", "deliver", "finish", "collect", "recover", "rebuild", "lockword", "layout",
)  # fmt: skip


def _why_not() -> str:
    """Why this process does not run compiled; empty when it does."""
    if os.environ.get("IPCQ_PURE") == "1":
        return "IPCQ_PURE is set"
    if not os.path.exists(os.path.join(_COMPILED, "core" + EXTENSION_SUFFIXES[0])):
        return "there was no compiler at its installation"
    return "" if _is_current() else "its sources were changed since they were compiled; install it again"


def _is_current() -> bool:
    """Whether the sources are those that were compiled; asked only where they were compiled in place."""
    stamp = os.path.join(_COMPILED, f"{sys.implementation.cache_tag}.sources")
    try:
        with open(stamp, encoding="utf-8") as file:
            wanted = int(file.read())
    except FileNotFoundError:
        return True
    crc = 0
    for name in _MODULES:
        with open(os.path.join(_HERE, f"{name}.py"), "rb") as source:
            crc = zlib.crc32(source.read(), crc)
    return crc == wanted


WHY_NOT = _why_not()
COMPILED = not WHY_NOT
SEARCH = [_COMPILED, _HERE] if COMPILED else [_HERE]

if not COMPILED and os.environ.get("IPCQ_REQUIRE_COMPILED") == "1":
    raise ImportError(f"IPCQ_REQUIRE_COMPILED is set, but ipcq is not compiled here: {WHY_NOT}")
