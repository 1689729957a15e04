"""The default codec: msgpack, compact and the same in every language."""

from __future__ import annotations

from typing import Any

import msgpack

from ..errors import CodecError

__all__ = ["MsgpackCodec"]


class MsgpackCodec:
    """msgpack: None, bool, int (64 bits), float, str, bytes, list, dict; tuples arrive as lists."""

    name = "msgpack"

    def __init__(self) -> None:
        # A Packer keeps its buffer, which packb would allocate for each task; it is not shared
        # between threads half-way because pack() holds the GIL from start to end.
        self._pack = msgpack.Packer(use_bin_type=True).pack
        self._unpack = msgpack.unpackb

    def encode(self, value: Any) -> bytes:
        """Return the bytes of ``value``; `CodecError` names the type that has no msgpack form."""
        try:
            return self._pack(value)  # type: ignore[no-any-return]
        except (TypeError, ValueError, OverflowError) as error:
            self._pack = msgpack.Packer(use_bin_type=True).pack
            raise CodecError(
                f"msgpack cannot encode {_short(value)}: {error};"
                " use plain values (str, bytes, int, float, list, dict) or another codec="
            ) from error

    def decode(self, data: bytes | memoryview) -> Any:
        """Return the object in ``data``; `CodecError` where the bytes are not msgpack."""
        try:
            return self._unpack(data, raw=False, strict_map_key=False)
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
            raise CodecError(f"not msgpack: {str(error) or type(error).__name__}") from error


def _short(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"
