"""pickle: any Python object, for queues that only you can write to."""

from __future__ import annotations

import pickle
from typing import Any

from ..errors import CodecError
from .buffers import has_buffers, join, split

__all__ = ["PickleCodec"]

_PROTOCOL = 5  # the first one with buffers beside the value


class PickleCodec:
    """Any object that can be pickled; arrays arrive read-only, without a copy where the payload is mapped.

    Whoever can write to the queue can run code in its workers. It is used where a queue was made with it,
    by its name, and nowhere else.
    """

    name = "pickle"

    def encode(self, value: Any) -> bytes:
        """Return the bytes of ``value``; `CodecError` names the type that cannot be pickled."""
        buffers: list[pickle.PickleBuffer] = []
        try:
            data = pickle.dumps(value, _PROTOCOL, buffer_callback=buffers.append)
            return join(data, [buffer.raw() for buffer in buffers]) if buffers else data
        except Exception as error:  # whatever the object's own methods raise
            raise CodecError(
                f"a {type(value).__name__} cannot be pickled: {type(error).__name__}: {error}; functions and"
                " classes must be at the top level of a module"
            ) from error

    def decode(self, data: bytes | memoryview) -> Any:
        """Return the object in ``data``; `CodecError` where it cannot be made of these bytes."""
        try:
            value, buffers = split(data) if has_buffers(data) else (data, [])
            return pickle.loads(value, buffers=buffers)
        except Exception as error:  # of a class that is gone, or of its own methods
            raise CodecError(f"cannot be unpickled: {type(error).__name__}: {error}") from error
