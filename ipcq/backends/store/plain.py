"""Values and bytes as JSON that a person can read."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from math import isfinite
from typing import Any

from ...codecs import MsgpackCodec
from ...errors import CodecError
from ...result import ErrorInfo

__all__ = [
    "as_json",
    "bytes_of",
    "error_of",
    "from_json",
    "jsonable",
    "of_bytes",
    "of_error",
    "of_values",
    "values_of",
]

_MSGPACK = MsgpackCodec()
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def as_json(fields: Mapping[str, Any]) -> bytes:
    """One line of JSON, in UTF-8, without its end."""
    return _encoder(fields).encode()


def from_json(data: bytes) -> dict[str, Any]:
    """What `as_json` wrote; ValueError for anything else."""
    fields = json.loads(data)
    if not isinstance(fields, dict):
        raise ValueError("no JSON object")
    return fields


# --- bytes ----------------------------------------------------------------------------------------


def of_bytes(data: bytes) -> Any:
    """Text as a string, other bytes as ``{"base64": ...}``."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}


def bytes_of(value: Any) -> bytes:
    """What `of_bytes` was given."""
    return value.encode() if isinstance(value, str) else b64decode(value["base64"], validate=True)


# --- values ---------------------------------------------------------------------------------------


def of_values(values: Mapping[str, Any]) -> Any:
    """Plain values as they are, where JSON has all of them; else ``{"msgpack": ...}``.

    Raises:
        CodecError: they are not plain.
    """
    packed = _MSGPACK.encode(dict(values))
    plain = _MSGPACK.decode(packed)  # tuples are lists now, whichever way is taken
    return plain if jsonable(plain) and "msgpack" not in plain else {"msgpack": b64encode(packed).decode()}


def values_of(value: Any) -> dict[str, Any]:
    """What `of_values` was given."""
    if "msgpack" not in value:
        return dict(value)
    found = _MSGPACK.decode(b64decode(value["msgpack"], validate=True))
    return found if isinstance(found, dict) else {}


def jsonable(value: Any) -> bool:
    """Whether JSON gives this very value back."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and jsonable(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(jsonable, value))
    return (
        value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and isfinite(value))
    )


# --- errors ---------------------------------------------------------------------------------------


def of_error(error: ErrorInfo) -> dict[str, Any]:
    """An error as JSON; details that have no plain form are told as text."""
    try:
        details = of_values(error.details)
    except CodecError:
        details = of_values({_text(str(key)): _text(repr(value)) for key, value in error.details.items()})
    return {
        "type": _text(error.type),
        "message": _text(error.message),
        "traceback": _text(error.traceback),
        "details": details,
    }


def error_of(value: Mapping[str, Any]) -> ErrorInfo:
    """What `of_error` was given."""
    return ErrorInfo(value["type"], value["message"], value["traceback"], values_of(value["details"]))


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
