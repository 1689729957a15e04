"""The text that Prometheus reads, version 0.0.4 of its exposition format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .families import Family, families

__all__ = ["CONTENT_TYPE", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def exposition(backend: Any) -> str:
    """The figures of a backend's queue, now.

    Args:
        backend: one with the capability `Metrics`.

    Raises:
        IpcqError: the queue cannot be read.
    """
    queue = str(getattr(backend, "queue", ""))
    return "".join(f"{line}\n" for line in _lines(families(backend), queue))


def _lines(found: Iterable[Family], queue: str) -> Iterator[str]:
    name = queue.translate(_ESCAPES)
    for family in found:
        yield f"# HELP {family.name} {family.told}"
        yield f"# TYPE {family.name} {family.kind}"
        for value, figure in family.samples.items():
            more = f',{family.label}="{value}"' if family.label else ""
            yield f'{family.name}{{queue="{name}"{more}}} {figure}'
        if family.histogram is not None:
            for bound, count in family.buckets:
                yield f'{family.name}_bucket{{queue="{name}",le="{bound}"}} {count}'
            yield f'{family.name}_count{{queue="{name}"}} {family.buckets[-1][1]}'
            yield f'{family.name}_sum{{queue="{name}"}} {family.histogram.sum}'
