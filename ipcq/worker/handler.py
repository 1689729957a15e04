"""Finds the function that a name means, and refuses what a worker cannot call."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from importlib import import_module
from types import ModuleType
from typing import Any

from ..errors import HandlerNotFound

__all__ = ["Handler", "check_handler", "resolve"]

Handler = Callable[..., Any]
"""Called with the arguments of a task, and with what its other parameters want."""


def resolve(name: str) -> Handler:
    """The callable that ``module:function`` names; imports the module.

    Raises:
        HandlerNotFound: the name, the module or the function is to blame; the message says which.
    """
    module, _, path = _split(name)
    found = _import(module, name)
    try:
        function = reduce(getattr, path.split("."), found)
    except AttributeError as error:
        raise HandlerNotFound(
            f"handler {name!r}: {error} (in {getattr(found, '__file__', None) or 'a module without a file'});"
            " is it defined at the top level, and spelt so?"
        ) from error
    if not callable(function):
        raise HandlerNotFound(
            f"handler {name!r} is no function but {_kind(function)}; name something that can be called"
        )
    return function


def check_handler(handler: Handler | str) -> None:
    """Raise if ``handler`` cannot be one, as far as can be told without importing anything.

    Raises:
        HandlerNotFound: it is neither callable nor of the form ``module:function``.
    """
    if isinstance(handler, str):
        _split(handler)
    elif not callable(handler):
        raise HandlerNotFound(f"{handler!r} cannot be a handler: pass a function, or 'module:function'")


def _split(name: str) -> tuple[str, str, str]:
    module, colon, path = name.partition(":")
    if all(part.isidentifier() for part in f"{module}.{path}".split(".")):
        return module, colon, path
    raise HandlerNotFound(f"{name!r} is no handler: expected module:function, as in 'package.tasks:resize'")


def _import(module: str, name: str) -> ModuleType:
    try:
        return import_module(module)
    except (Exception, SystemExit) as error:  # SystemExit: a script without a __main__ guard
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise HandlerNotFound(
            f"handler {name!r}: importing {module} failed with {reason};"
            f' try: python -c "import {module}" in the same directory and environment'
        ) from error


def _kind(value: object) -> str:
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
