"""A backend as one that can do all: what it cannot do says so when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..backends.capabilities import Every
from ..backends.refusing import missing

__all__ = ["whole"]


class _Asked:
    """Passes every call on; `NotSupported` where the backend lacks a call of the contracts."""

    def __init__(self, backend: object) -> None:
        self._backend = backend

    def __repr__(self) -> str:
        return repr(self._backend)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            try:
                return getattr(self._backend, name)
            except AttributeError as error:  # of `Refusing`, this is NotSupported already
                raise missing(name, self._backend) from error


def whole(backend: object) -> Every:
    """The same backend, in the eyes of a type checker with every capability."""
    return cast("Every", _Asked(backend))
