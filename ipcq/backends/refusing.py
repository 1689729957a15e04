"""A backend without some capability says so, and which one, instead of lacking a method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import backend, expose, sink
from ..errors import NotSupported

__all__ = ["Refusing", "missing"]

_CONTRACTS = {
    name: contract
    for module in (expose, sink, backend)
    for name in module.__all__
    if getattr(contract := getattr(module, name), "_is_runtime_protocol", False) and name != "Expose"
}
_CAPABILITY = {
    call: name for name, contract in _CONTRACTS.items() for call in vars(contract) if not call.startswith("_")
}
"""Which capability each call of the contracts belongs to."""


class _Missing(NotSupported, AttributeError):
    """An `AttributeError` too, so that `hasattr`, and with it `isinstance`, says no."""


def missing(name: str, backend: object) -> AttributeError:
    """What is raised where a backend has no attribute of this name: `NotSupported` for a contract's call."""
    if name not in _CAPABILITY:
        return AttributeError(f"{type(backend).__name__!r} object has no attribute {name!r}")
    return _Missing(_CAPABILITY[name], backend)


class Refusing:
    """Raises `NotSupported` for every call of the contracts that a subclass does not have."""

    if not TYPE_CHECKING:  # to type checkers what is missing is missing

        def __getattr__(self, name: str) -> Any:
            raise missing(name, self)
