"""NumPy arrays and other buffers as a few plain values and one piece of memory, and back."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from typing import Any, NamedTuple

from ..errors import CodecError

__all__ = ["Taken", "array_of", "buffer_of", "take"]

_NOTHING = memoryview(b"")
_FORMATS = frozenset("?bBhHiIlLqQfd")  # of the elements of a plain buffer; NumPy has more


class Taken(NamedTuple):
    """What can be told of an object with a buffer.

    Attributes:
        is_array: of NumPy; else anything with a buffer.
        kind: the type of the elements, as `array_of` or `buffer_of` reads it.
        shape: how many in each dimension.
        order: ``C`` or ``F``, as NumPy has it.
    """

    is_array: bool
    kind: str
    shape: tuple[int, ...]
    order: str
    memory: memoryview


def take(value: Any) -> Any:
    """Take an array or a buffer apart: `Taken`; a NumPy number as a plain one; None for anything else.

    Raises:
        TypeError: its elements are objects, or of no known type.
    """
    numpy = sys.modules.get("numpy")  # who has an array has imported it
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _take_array(numpy, value)
    if numpy is not None and isinstance(value, numpy.generic):
        return value.item()
    try:
        view = memoryview(value)
    except TypeError:
        return None
    if view.format not in _FORMATS or not view.c_contiguous:
        raise TypeError(f"a buffer of format {view.format!r} that is not in one piece cannot be sent")
    shape = view.shape or ()
    return Taken(False, view.format, shape, "C", view.cast("B") if view.nbytes else _NOTHING)


def _take_array(numpy: Any, array: Any) -> Taken:
    if array.dtype.hasobject:
        raise TypeError(f"an array of {array.dtype} holds objects, not numbers")
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    flat = (array.T if order == "F" else numpy.ascontiguousarray(array)).reshape(-1)
    kind = repr(numpy.lib.format.dtype_to_descr(array.dtype))
    memory = memoryview(flat.view(numpy.uint8)) if flat.nbytes else _NOTHING
    return Taken(True, kind, array.shape, order, memory)


def array_of(kind: str, shape: list[int], order: str, memory: memoryview) -> Any:
    """A read-only array over ``memory``.

    Raises:
        CodecError: NumPy is not there.
        ValueError, TypeError, SyntaxError: these do not go together.
    """
    try:
        numpy: Any = import_module("numpy")
    except ImportError as error:
        raise CodecError(
            "a NumPy array was sent, and NumPy is not installed here: pip install 'ipcq[numpy]'"
        ) from error
    dtype = numpy.lib.format.descr_to_dtype(ast.literal_eval(kind))
    if dtype.hasobject:  # bytes of somebody else's would be taken for addresses
        raise ValueError(f"an array of {dtype} cannot be made of bytes")
    return numpy.ndarray(tuple(shape), dtype, memory, order=order)


def buffer_of(kind: str, shape: list[int], memory: memoryview) -> memoryview:
    """A read-only memoryview of the elements in ``memory``; raises as `array_of`."""
    if kind not in _FORMATS:
        raise ValueError(f"no format of a buffer: {kind!r}")
    view: Any = memory
    elements: memoryview = view.cast(kind) if len(shape) == 1 or 0 in shape else view.cast(kind, tuple(shape))
    return elements
