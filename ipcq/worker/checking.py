"""Refuses what a worker could not use, before it takes a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["check_backend", "check_layers", "check_listener", "check_provide"]


def check_backend(backend: object) -> None:
    """`TypeError` for what is none, such as a URL."""
    if isinstance(backend, str):
        raise TypeError(f"{backend!r} is no backend but its URL: pass what ipcq.connect({backend!r}) returns")
    if not all(callable(getattr(backend, name, None)) for name in ("poll", "register_worker")):
        raise TypeError(
            f"{backend!r} is no backend that a worker can use: it lacks poll or register_worker;"
            " pass a MemoryStorage, or what ipcq.connect(URL) returns"
        )


def check_layers(layers: Iterable[object]) -> None:
    """`TypeError` for one that cannot be called with a task."""
    for layer in layers:
        if isinstance(layer, type):
            raise TypeError(
                f"layer {layer.__name__} is a class: pass an object of it, layers=[{layer.__name__}(...)]"
            )
        if not callable(layer):
            raise TypeError(f"{layer!r} is no layer: it cannot be called, as layer(task, context, call_next)")


def check_provide(provide: Mapping[Any, object]) -> None:
    """`TypeError` for one that cannot be called to make something."""
    for kind, make in provide.items():
        if not callable(make):
            raise TypeError(
                f"provide= has {make!r} for {getattr(kind, '__name__', kind)}: pass what makes one when it is"
                " called without arguments, in the worker's process"
            )


def check_listener(listener: object) -> None:
    """`TypeError` for one that cannot be told."""
    if not callable(listener):
        raise TypeError(f"on_event={listener!r} cannot be called with an event: pass a function")
