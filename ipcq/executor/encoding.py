"""Calls, and what they gave, as bytes and back: pickle 5, large buffers beside it and not copied."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures.process import _ExceptionWithTraceback
from importlib import import_module
from typing import Any, NamedTuple

from ..codecs.buffers import Pieces, has_buffers, pieces, split
from ..errors import CodecError

__all__ = [
    "Call",
    "Encoded",
    "NotPicklable",
    "Raised",
    "decode",
    "encode_call",
    "encode_error",
    "encode_value",
]

_PROTOCOL = 5  # the first one with buffers beside the value
_ADVICE = "define functions and classes at the top level of a module, or: pip install 'ipcq[cloudpickle]'"
_LONGEST_REPR = 80  # characters


class NotPicklable(CodecError, pickle.PicklingError):
    """A call, a result or an exception has no bytes, or cannot be made of them; the message names it."""


class Call(NamedTuple):
    """What a worker is to call."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def __str__(self) -> str:
        name = getattr(self.function, "__qualname__", None) or _short(self.function)
        args = [*map(_short, self.args), *(f"{key}={_short(value)}" for key, value in self.kwargs.items())]
        return f"{name}({', '.join(args)})"


class Raised:
    """What a call raised; its cause is the worker's traceback as text, as `ProcessPoolExecutor` has it."""

    def __init__(self, error: BaseException) -> None:
        self.error: Any = error

    def __repr__(self) -> str:
        return f"<Raised {self.error!r}>"


class Encoded:
    """The codec of a queue whose payloads and results are encoded by whoever pushes and runs."""

    name = "raw"

    def encode(self, value: Any) -> Any:
        """Return ``value``, which is encoded."""
        return value

    def decode(self, data: bytes | memoryview) -> Any:
        """Return ``data`` as it is."""
        return data


# --- into bytes -----------------------------------------------------------------------------------


def encode_call(call: Call) -> bytes | Pieces:
    """The bytes of a call; `NotPicklable` names the part that has none."""
    try:
        return _dumps((call.function, call.args, call.kwargs))
    except Exception as error:
        raise _refusal(_blamed(call), error) from error


def encode_value(value: Any) -> bytes | Pieces:
    """The bytes of what a call returned.

    Raises:
        NotPicklable: it has none.
        BaseException: whatever else its own methods raise, such as SystemExit.
    """
    try:
        return _dumps(value)
    except Exception as error:
        raise _refusal(f"the result {_described(value)}", error) from error


def encode_error(error: BaseException) -> bytes | Pieces:
    """The bytes of an exception with its traceback; of `NotPicklable` where it would not come back."""
    try:
        data = _dumps(_traced(error))
        decode(bytes(data))
    except Exception as broken:
        refusal = _refusal(f"the exception {_described(error)}", broken)
        return _dumps(_traced(refusal.with_traceback(error.__traceback__)))
    return data


def _traced(error: BaseException) -> Raised:
    traced: Any = _ExceptionWithTraceback(error, error.__traceback__)  # type: ignore[arg-type]  # None will do
    return Raised(traced)


def decode(data: bytes | memoryview) -> Any:
    """What was encoded; arrays and other buffers are read-only views of ``data``.

    Raises:
        BaseException: whatever the objects' own methods raise.
    """
    if has_buffers(data):
        value, buffers = split(data)
        return pickle.loads(value, buffers=buffers)
    return pickle.loads(data)


def _dumps(value: Any) -> bytes | Pieces:
    try:
        buffers: list[pickle.PickleBuffer] = []
        data = pickle.dumps(value, _PROTOCOL, buffer_callback=buffers.append)
    except Exception:
        data, buffers = _dumps_by_value(value)
    else:
        if b"__main__" in data and not _main_is_found():
            try:
                data, buffers = _dumps_by_value(value)
            except ImportError:
                pass  # it may have been a text that only looked like it
    return pieces(data, [buffer.raw() for buffer in buffers]) if buffers else data


def _dumps_by_value(value: Any) -> tuple[bytes, list[pickle.PickleBuffer]]:
    """With functions and classes that no other process could import."""
    cloudpickle = import_module("cloudpickle")
    buffers: list[pickle.PickleBuffer] = []
    return cloudpickle.dumps(value, _PROTOCOL, buffer_callback=buffers.append), buffers


def _main_is_found() -> bool:
    """Whether another process can import this program's main module: not that of an interactive session."""
    main = sys.modules.get("__main__")
    return getattr(main, "__spec__", None) is not None or hasattr(main, "__file__")


# --- what is wrong --------------------------------------------------------------------------------


def _blamed(call: Call) -> str:
    """The part of a call that cannot be pickled, in words."""
    for what, part in _parts(call):
        try:
            _dumps(part)
        except Exception:
            return f"{what} {_described(part)}"
    return f"the call {_short(call.function)}"


def _parts(call: Call) -> Iterable[tuple[str, Any]]:
    yield "the function", call.function
    for number, part in enumerate(call.args, 1):
        yield f"argument {number},", part
    for name, part in call.kwargs.items():
        yield f"argument {name}=,", part


def _refusal(what: str, error: Exception) -> NotPicklable:
    cause = error.__context__ if isinstance(error, ImportError) and error.__context__ else error
    return NotPicklable(f"{what} cannot be pickled: {type(cause).__name__}: {cause}; {_ADVICE}")


def _described(value: Any) -> str:
    return f"{_short(value)} of type {type(value).__module__}.{type(value).__qualname__}"


def _short(value: Any) -> str:
    try:
        text = " ".join(repr(value).split())
    except Exception as error:
        text = f"<its __repr__ raised {type(error).__name__}>"
    return text if len(text) <= _LONGEST_REPR else text[: _LONGEST_REPR - 1] + "…"
