"""What items log and print, as lines on standard error: ``ipcq map --logs LEVEL``."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..logs import LogReceiver
from ..task import Task, TaskId
from .items import unpack

__all__ = ["LogLines", "receiving"]

_MOST = 16_384  # items whose names are kept: more than are under way, for the last words of one may be late
_OWN = "ipcq.logs"  # says what was left out
_PRINTED = {"ipcq.stdout", "ipcq.stderr"}


class LogLines(logging.Handler):
    """Writes each record of an item with the item in front.

    Args:
        write: called with whole lines.
        metadata: that tasks are to have for it.
    """

    def __init__(self, write: Callable[[str], object], metadata: Mapping[str, Any]) -> None:
        super().__init__()
        self._write, self._metadata = write, metadata
        self._items: OrderedDict[TaskId, bytes] = OrderedDict()

    def mark(self, tasks: Iterable[Task[bytes]]) -> None:
        """Have the records of tasks that are about to be pushed come here."""
        for task in tasks:
            task.metadata = self._metadata
            self._items[task.id] = task.args
        while len(self._items) > _MOST:
            self._items.popitem(last=False)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record of an item, or that some were left out."""
        task_id = getattr(record, "task_id", None)
        if task_id is None and record.name != _OWN:
            return  # of the command itself, which tells its own in another way
        try:
            text = self.format(record)
            if record.name not in _PRINTED:
                text = f"{record.levelname} {record.name}: {text}"
            self._write(f"{self._shown(task_id)}: {text}\n")
        except Exception:
            self.handleError(record)

    def _shown(self, task_id: TaskId | None) -> str:
        item = self._items.get(task_id) if task_id is not None else None
        if item is None:
            return "ipcq"
        name = unpack(item)
        return name if name.isprintable() else repr(name)


@contextmanager
def receiving(level: int | None, write: Callable[[str], object]) -> Iterator[LogLines | None]:
    """While entered, items' records from that level on are written, and what they print; None for neither."""
    if level is None:
        yield None
        return
    with LogReceiver(level=level, capture=True) as logs:
        lines = LogLines(write, logs.metadata)
        logging.getLogger().addHandler(lines)
        try:
            yield lines
        finally:
            logs.close()
            logging.getLogger().removeHandler(lines)
