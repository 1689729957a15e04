"""The codec of one queue, and those that its tasks may name instead."""

from __future__ import annotations

from typing import Any

from ...codec import Codec
from ...codecs import get_codec
from ...errors import CodecError

__all__ = ["Codecs", "codec_or_unknown"]


class Codecs:
    """Finds the codec that a task names."""

    def __init__(self, own: Codec) -> None:
        self.own = own
        known = [get_codec(name) for name in ("msgpack", "json", "raw")]
        self._by_name = {each.name: each for each in (*known, own)}

    def find(self, name: str) -> Codec:
        """The codec of that name, or one that says that it is not known here when it is used."""
        return self._by_name.get(name) or _UnknownCodec(name)


class _UnknownCodec:
    """Stands for a codec that this program does not have: all of a task but its args can be seen."""

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, value: Any) -> bytes:
        raise self._error()

    def decode(self, data: bytes | memoryview) -> Any:
        raise self._error()

    def _error(self) -> CodecError:
        return CodecError(f"the codec {self.name!r} is not known here; open the queue with codec=...")


def codec_or_unknown(name: str) -> Codec:
    """The codec of that name, or one that says it is not known when it is used."""
    try:
        return get_codec(name)
    except CodecError:
        return _UnknownCodec(name)
