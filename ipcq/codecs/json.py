"""JSON: readable by anything, text only."""

from __future__ import annotations

import json
from typing import Any

from ..errors import CodecError

__all__ = ["JsonCodec"]


class JsonCodec:
    """JSON in UTF-8: None, bool, int, float, str, list, dict with str keys; no bytes."""

    name = "json"

    def encode(self, value: Any) -> bytes:
        """Return the bytes of ``value``; `CodecError` names the type that has no JSON form."""
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise CodecError(
                f"json cannot encode a {type(value).__name__}: {error}; use plain values or codec='msgpack'"
            ) from error

    def decode(self, data: bytes | memoryview) -> Any:
        """Return the object in ``data``; `CodecError` where the bytes are not JSON."""
        try:
            return json.loads(bytes(data))
        except (ValueError, RecursionError) as error:
            raise CodecError(f"not JSON: {error}") from error
