"""Arguments as they travel: a list of those by position, and a dict of those by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, Signature
from typing import Any

from ..errors import Abort
from ..worker.kinds import is_coroutine_function

__all__ = ["pack", "signature_of", "spread"]

_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def signature_of(function: Callable[..., Any]) -> Signature | None:
    """What a function takes; None where it does not tell (some of C)."""
    try:
        return inspect.signature(function)
    except ValueError:
        return None


def pack(name: str, signature: Signature | None, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What travels; `TypeError` for arguments that the function does not take."""
    wrong = _misfit(signature, args, named)
    if wrong:
        raise TypeError(f"{name}.push: {wrong}")
    return [list(args), named]


def spread(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A handler that calls a function with what `pack` made.

    Its signature names, beside the arguments, those parameters of the function that have a default: a
    worker fills them where it knows what their annotations name and the task does not say otherwise.
    """
    signature = signature_of(function)
    parameters = list(signature.parameters.values()) if signature else []
    order = [parameter.name for parameter in parameters]

    @wraps(function)
    def call(packed: Any, /, **known: Any) -> Any:
        args, named = _unpack(name, packed)
        if known and args:
            taken = order[: len(args)]
            known = {key: value for key, value in known.items() if key not in taken}
        try:
            return function(*args, **{**known, **named})
        except TypeError as error:
            wrong = _misfit(signature, args, named)
            if wrong:
                raise Abort(f"{name} of this worker does not take what arrived: {wrong}") from error
            raise

    @wraps(function)
    async def call_in_loop(packed: Any, /, **known: Any) -> Any:
        return await call(packed, **known)

    handler: Any = call_in_loop if is_coroutine_function(function) else call
    fillable = [
        parameter.replace(kind=Parameter.KEYWORD_ONLY)
        for parameter in parameters
        if parameter.kind in _BY_NAME and parameter.default is not Parameter.empty
    ]
    first = Parameter("_".join(["packed", *order]), Parameter.POSITIONAL_ONLY)  # a name that none of them has
    handler.__signature__ = Signature([first, *fillable])
    # What the others name may be there for type checkers only; a worker need not look for it.
    handler.__annotations__ = {p.name: p.annotation for p in fillable if p.annotation is not p.empty}
    return handler  # type: ignore[no-any-return]


def _unpack(name: str, packed: Any) -> tuple[list[Any], dict[str, Any]]:
    if isinstance(packed, (list, tuple)) and len(packed) == 2:
        args, named = packed
        if isinstance(args, (list, tuple)) and isinstance(named, dict):
            return list(args), named
    raise Abort(f"what arrived are no arguments of {name}: expected [[...], {{...}}], as its push makes them")


def _misfit(signature: Signature | None, args: Any, named: dict[str, Any]) -> str:
    """Why a function cannot be called so; empty where it can."""
    if signature is None:
        return ""
    try:
        signature.bind(*args, **named)
    except TypeError as error:
        return str(error)
    return ""
