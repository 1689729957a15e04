"""Backends by URL: the same text in a program, on the command line, and in ``IPCQ_URL``."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from .backends.json import JsonStorage
    from .backends.memory import MemoryStorage
    from .backends.pipe import Pipe

__all__ = ["VARIABLE", "connect"]

VARIABLE = "IPCQ_URL"


class _Kind(NamedTuple):
    """What a scheme stands for, imported when it is used.

    Attributes:
        form: how such a URL looks.
        what: how people call what is behind the slashes.
        lead: what stands in front of that when it is opened.
    """

    module: str
    name: str
    form: str
    what: str
    lead: str = ""


_KINDS = {
    "memory": _Kind(".backends.memory", "MemoryStorage", "memory://NAME", "the name of a queue"),
    "json": _Kind(".backends.json", "JsonStorage", "json:///PATH/FILE.jsonl", "the path of a file"),
    "pipe+ipc": _Kind(".backends.pipe", "Pipe", "pipe+ipc:///PATH", "the path of a socket", "ipc://"),
    "pipe+tcp": _Kind(
        ".backends.pipe", "Pipe", "pipe+tcp://127.0.0.1:PORT", "the address of a server", "tcp://"
    ),
}


def connect(url: str | None = None, **options: Any) -> MemoryStorage | JsonStorage | Pipe:
    """Open the backend that a URL names, and make its queue where there is none (not behind a pipe).

    ``memory://NAME`` is `MemoryStorage`, ``json:///PATH/FILE.jsonl`` is `JsonStorage`; with two slashes the
    path is relative to the current directory. ``pipe+ipc:///PATH`` and ``pipe+tcp://127.0.0.1:PORT`` are
    `Pipe`, the queue that a server has there. Special characters are written as ``%`` and two digits.

    Args:
        url: None for what the environment variable ``IPCQ_URL`` says.
        options: settings of that backend, as its class takes them.

    Raises:
        ValueError: it is no URL of a backend, or there is none.
        TypeError: it is no text, or no setting of that backend.
        IpcqError: as the backend's class.
    """
    found = url if url is not None else os.environ.get(VARIABLE)
    if found is not None and not isinstance(found, str):
        raise TypeError(f"connect takes a URL as text, not {found!r}; {_known()}")
    if not found:
        raise ValueError(f"which queue? Pass a URL or set {VARIABLE}; {_known()}")
    kind, place = _read(found)
    made: MemoryStorage | JsonStorage | Pipe = getattr(import_module(kind.module, __package__), kind.name)(
        place, **options
    )
    return made


def _read(url: str) -> tuple[_Kind, str]:
    """The kind of backend and what it is opened with."""
    scheme, slashes, rest = url.partition("://")
    if not slashes or scheme not in _KINDS:
        raise ValueError(f"{url!r} is no URL of a queue; {_known()}")
    kind = _KINDS[scheme]
    if "?" in rest or "#" in rest:
        raise ValueError(f"{url!r}: settings are no part of a URL, and ? and # are written as %3F and %23")
    if not rest:
        raise ValueError(f"{url!r} lacks {kind.what}: write {kind.form}")
    return kind, kind.lead + unquote(rest)


def _known() -> str:
    return f"known: {', '.join(kind.form for kind in _KINDS.values())}"
