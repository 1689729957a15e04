"""No encoding at all: bytes in, bytes out."""

from __future__ import annotations

from typing import Any

from ..errors import CodecError

__all__ = ["RawCodec"]


class RawCodec:
    """Bytes as they are; large ones arrive as a read-only memoryview without a copy."""

    name = "raw"

    def encode(self, value: Any) -> bytes:
        """Return ``value`` as bytes; `CodecError` where it is not bytes-like (None is ``b""``)."""
        if value is None:
            return b""
        try:
            return value if type(value) is bytes else bytes(memoryview(value))
        except TypeError as error:
            raise CodecError(
                f"the raw codec carries bytes, not {type(value).__name__}; encode it or use codec='msgpack'"
            ) from error

    def decode(self, data: bytes | memoryview) -> Any:
        """Return ``data`` unchanged."""
        return data
