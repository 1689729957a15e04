"""The codecs that come with ipcq, found by name."""

from __future__ import annotations

from ..codec import Codec
from ..errors import CodecError
from .json import JsonCodec
from .msgpack import MsgpackCodec
from .pickle import PickleCodec
from .raw import RawCodec

__all__ = ["JsonCodec", "MsgpackCodec", "PickleCodec", "RawCodec", "get_codec"]

_BY_NAME: dict[str, type[Codec]] = {
    each.name: each for each in (MsgpackCodec, JsonCodec, RawCodec, PickleCodec)
}


def get_codec(codec: str | Codec) -> Codec:
    """Return the codec of that name, or ``codec`` itself when it is one already.

    Raises:
        CodecError: no codec has that name.
    """
    if not isinstance(codec, str):
        return codec
    try:
        return _BY_NAME[codec]()
    except KeyError:
        raise CodecError(
            f"no codec is named {codec!r}; known: {', '.join(sorted(_BY_NAME))};"
            " or pass an object with name, encode and decode"
        ) from None
