"""Objects of any types into one queue: `WeakSink` on whatever accepts tasks."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from ..sink import TAG, TaskSink, tag_of
from ..task import TaskId

__all__ = ["Weak"]


class Weak:
    """Fulfils `WeakSink`."""

    def __init__(self, sink: TaskSink) -> None:
        self._sink = sink

    def __repr__(self) -> str:
        return f"<Weak sink into {self._sink!r}>"

    def push(
        self,
        obj: Any,
        type: str | type[Any] | None = None,  # noqa: A002 - the name that the specification gives it
        *,
        timeout: float | None = None,
        block: bool = True,
        **parts: Any,
    ) -> TaskId:
        """Store one task; the tag of its type travels with it."""
        metadata = {
            **(parts.pop("metadata", None) or {}),
            TAG: tag_of(obj.__class__ if type is None else type),
        }
        return self._sink.push(_plain(obj), timeout=timeout, block=block, metadata=metadata, **parts)


def _plain(obj: Any) -> Any:
    """The fields of a dataclass object, for codecs know plain values; anything else as it is."""
    if not is_dataclass(obj) or isinstance(obj, type):
        return obj
    return {field.name: getattr(obj, field.name) for field in fields(obj) if field.init}
