"""The lines of output: one JSON object an item, in UTF-8."""

from __future__ import annotations

import json
from typing import Any

from ..errors import CodecError
from ..result import ErrorInfo

__all__ = ["error_line", "value_line"]

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_encode_ascii = json.JSONEncoder(allow_nan=False).encode


def value_line(item: str, value: Any) -> bytes:
    """The line of an item that has a value.

    Raises:
        CodecError: the value has no JSON form, or one that other programs cannot read (nan).
    """
    try:
        return _line({"item": item, "value": value})
    except (TypeError, ValueError, RecursionError) as error:
        raise CodecError(
            f"what the function returned, of type {type(value).__name__}, has no JSON form ({error});"
            " return None, bool, int, float, str, list or dict"
        ) from error


def error_line(item: str, error: ErrorInfo) -> bytes:
    """The line of an item that has an error: type, message, facts and traceback."""
    told: dict[str, Any] = {"type": error.type, "message": error.message, **error.details}
    if error.traceback:
        told["traceback"] = error.traceback
    return _line({"item": item, "error": told})


def _line(fields: dict[str, Any]) -> bytes:
    try:
        return _encode(fields).encode() + b"\n"
    except UnicodeEncodeError:  # bytes of a file name that are not UTF-8: JSON can escape them
        return _encode_ascii(fields).encode() + b"\n"
