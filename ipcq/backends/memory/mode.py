"""Whether this process runs the compiled core or the same files as Python.

Compiled modules lie in a directory of their own, which is put before this package's when they are to
be used. ``IPCQ_PURE=1`` leaves them aside; ``IPCQ_REQUIRE_COMPILED=1`` refuses to run without them.
"""

from __future__ import annotations

import os
import sys
import zlib

__all__ = ["COMPILED", "SEARCH", "WHY_NOT"]

_HERE = os.path.dirname(__file__)
_COMPILED = os.path.join(_HERE, "_compiled")
_STAMP = os.path.join(_COMPILED, f"{sys.implementation.cache_tag}.sources")


def _why_not() -> str:
    """Why this process does not run compiled; empty when it does."""
    if os.environ.get("IPCQ_PURE") == "1":
        return "IPCQ_PURE is set"
    try:
        with open(_STAMP, encoding="ascii") as file:
            made_of = [line.split() for line in file]
    except FileNotFoundError:
        return "it was installed without: no C compiler, or an error that pip install -v shows"
    if not all(_is_unchanged(name, int(crc)) for crc, name in made_of):
        return "its sources were changed since they were compiled; install it again"
    return ""


def _is_unchanged(name: str, crc: int) -> bool:
    try:
        with open(os.path.join(_HERE, name), "rb") as source:
            return zlib.crc32(source.read()) == crc
    except FileNotFoundError:
        return not name.endswith(".py")  # a wheel has no others


WHY_NOT = _why_not()
COMPILED = not WHY_NOT
SEARCH = [_COMPILED, _HERE] if COMPILED else [_HERE]

if not COMPILED and os.environ.get("IPCQ_REQUIRE_COMPILED") == "1":
    raise ImportError(f"IPCQ_REQUIRE_COMPILED is set, but ipcq is not compiled here: {WHY_NOT}")
