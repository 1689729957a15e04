"""What runs in an executor's worker process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..codecs.buffers import Pieces
from ..layer import ForcedStop
from ..monitor import FinalError
from .encoding import Call, NotPicklable, decode, encode_call, encode_error, encode_value
from .sharing import forget_removed

__all__ = ["Initializer", "run_call", "run_chunk"]


def run_call(data: bytes | memoryview) -> bytes | Pieces:
    """The handler: make the call in ``data``; the bytes of what it returned or raised."""
    forget_removed()
    try:
        function, args, kwargs = decode(data)
    except BaseException as error:  # SystemExit, too: of an object's own methods
        return encode_error(_unreadable(error))
    try:
        value = function(*args, **kwargs)
        del function, args, kwargs  # what they hold may be the result's, too
        return encode_value(value)
    except ForcedStop:
        raise
    except BaseException as error:
        return encode_error(error)


def _unreadable(error: BaseException) -> NotPicklable:
    told = NotPicklable(
        f"the call cannot be unpickled in a worker process: {type(error).__name__}: {error}; what it uses"
        " must be importable there, or: pip install 'ipcq[cloudpickle]'"
    )
    told.__traceback__ = error.__traceback__
    return told


def run_chunk(function: Callable[..., Any], chunk: list[tuple[Any, ...]]) -> list[Any]:
    """Call ``function`` with each of these arguments."""
    return [function(*args) for args in chunk]


class Initializer:
    """Calls a function first in each process; what it raises would be raised in the next one, too."""

    def __init__(self, function: Callable[..., object]) -> None:
        """Raises `NotPicklable` where no other process could have ``function``."""
        self._function = function
        self._data = bytes(encode_call(Call(function, (), {})))

    def __reduce__(self) -> tuple[Callable[..., Initializer], tuple[bytes]]:
        return _initializer, (self._data,)

    def __repr__(self) -> str:
        return f"<Initializer {self._function!r}>"

    def __call__(self, *args: Any) -> None:
        """Make the call."""
        try:
            self._function(*args)
        except Exception as error:
            logging.getLogger("concurrent.futures").critical("Exception in initializer:", exc_info=True)
            raise FinalError(f"the initializer raised {type(error).__name__}: {error}") from error


def _initializer(data: bytes) -> Initializer:
    return Initializer(decode(data)[0])
