"""The codec of one queue, and those that its tasks may name instead."""

from __future__ import annotations

from ...codec import Codec
from ...codecs import get_codec
from ..unknown_codec import UnknownCodec

__all__ = ["Codecs"]


class Codecs:
    """Finds the codec that a task names."""

    def __init__(self, own: Codec) -> None:
        self.own = own
        known = [get_codec(name) for name in ("msgpack", "json", "raw")]
        self._by_name = {each.name: each for each in (*known, own)}

    def find(self, name: str) -> Codec:
        """The codec of that name, or one that says that it is not known here when it is used."""
        return self._by_name.get(name) or UnknownCodec(name)
