"""In the place of a codec that this program does not have."""

from __future__ import annotations

from typing import Any

from ..codec import Codec
from ..codecs import get_codec
from ..errors import CodecError

__all__ = ["UnknownCodec", "codec_or_unknown"]


class UnknownCodec:
    """Stands for a codec that this program does not have: all of a task but its args can be seen."""

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, value: Any) -> bytes:
        """Raise `CodecError`."""
        raise self._error()

    def decode(self, data: bytes | memoryview) -> Any:
        """Raise `CodecError`."""
        raise self._error()

    def _error(self) -> CodecError:
        return CodecError(
            f"the codec {self.name!r} of this queue is not known here; open the queue with codec=..."
        )


def codec_or_unknown(name: str) -> Codec:
    """The codec of that name, or one that says it is not known when it is used."""
    try:
        return get_codec(name)
    except CodecError:
        return UnknownCodec(name)
