"""The default codec: msgpack, compact and the same in every language."""

from __future__ import annotations

from typing import Any

import msgpack

from ..errors import CodecError
from .arrays import Taken, array_of, buffer_of, take
from .buffers import has_buffers, join, split

__all__ = ["MsgpackCodec"]


_ARRAY, _BUFFER = 78, 66  # types of extension, only in payloads with buffers beside the value


class MsgpackCodec:
    """msgpack: None, bool, int (64 bits), float, str, bytes, list, dict; tuples arrive as lists.

    NumPy arrays arrive as read-only arrays, other buffers (``array.array``) as read-only memoryviews, without
    a copy where the payload is mapped.
    """

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
        except TypeError:  # something else than plain values
            self._pack = msgpack.Packer(use_bin_type=True).pack
        except (ValueError, OverflowError) as error:
            self._pack = msgpack.Packer(use_bin_type=True).pack
            raise _refusal(value, error) from error
        return _pack_with_buffers(value)

    def decode(self, data: bytes | memoryview) -> Any:
        """Return the object in ``data``; `CodecError` where the bytes are not msgpack."""
        try:
            return self._unpack(data, raw=False, strict_map_key=False)
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
            if has_buffers(data):  # looked at here, so that plain values pay nothing for it
                return _unpack_with_buffers(data)
            raise CodecError(f"not msgpack: {str(error) or type(error).__name__}") from error


def _pack_with_buffers(value: Any) -> bytes:
    buffers: list[memoryview] = []

    def pack_other(other: Any) -> Any:
        taken = take(other)
        if taken is None:
            raise TypeError(f"can not serialize {type(other).__name__!r} object")
        if not isinstance(taken, Taken):
            return taken
        buffers.append(taken.memory)
        fields = [len(buffers) - 1, taken.kind, taken.shape, taken.order]
        return msgpack.ExtType(_ARRAY if taken.is_array else _BUFFER, msgpack.packb(fields))

    try:
        packed: bytes = msgpack.Packer(use_bin_type=True, default=pack_other).pack(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _refusal(value, error) from error
    return join(packed, buffers) if buffers else packed


def _unpack_with_buffers(data: bytes | memoryview) -> Any:
    buffers: list[memoryview] = []

    def unpack_other(code: int, told: bytes) -> Any:
        if code not in (_ARRAY, _BUFFER):
            return msgpack.ExtType(code, told)
        number, kind, shape, order = msgpack.unpackb(told)
        if code == _ARRAY:
            return array_of(kind, shape, order, buffers[number])
        return buffer_of(kind, shape, buffers[number])

    try:
        value, found = split(data)
        buffers += found
        return msgpack.unpackb(value, raw=False, strict_map_key=False, ext_hook=unpack_other)
    except CodecError:
        raise
    except Exception as error:  # whatever NumPy says of a damaged description
        raise CodecError(f"not msgpack: with buffers, {type(error).__name__}: {error}") from error


def _refusal(value: Any, error: Exception) -> CodecError:
    return CodecError(
        f"msgpack cannot encode {_short(value)}: {error};"
        " use plain values (str, bytes, int, float, list, dict) or another codec="
    )


def _short(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 80 else text[:77] + '...'}"
