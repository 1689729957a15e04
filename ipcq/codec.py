"""The contract of a codec: an object to bytes and back. Implementations live in `ipcq.codecs`."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

__all__ = ["Codec"]


@runtime_checkable
class Codec(Protocol):
    """Turns an object into bytes and back; its name is stored with each task."""

    @property
    def name(self) -> str:
        """What the queue and its tasks record: 1 to 32 characters of ``a-z 0-9 _ -``."""
        ...

    def encode(self, value: Any) -> bytes:
        """Return the bytes of ``value``; `CodecError` where it cannot be encoded."""
        ...

    def decode(self, data: bytes | memoryview) -> Any:
        """Return the object in ``data``; `CodecError` where the bytes are not this codec's."""
        ...
