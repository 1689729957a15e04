"""Lines of items that log and print."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ipcq import Task, TaskId
from ipcq.cli.logs import _MOST, LogLines, receiving


def _record(name: str, message: str, task_id: TaskId | None, **more: Any) -> logging.LogRecord:
    fields = {"name": name, "levelname": "INFO", "msg": message, "task_id": task_id, **more}
    return logging.makeLogRecord(fields)


def test_each_line_has_its_item() -> None:
    """The item as it is, if it can be; what is printed without the name of a logger; tracebacks below."""
    written: list[str] = []
    lines = LogLines(written.append, {"to": "here"})
    tasks = [Task.of(b"a.jpg"), Task.of(b"\xff\n")]
    lines.mark(tasks)
    assert tasks[0].metadata == {"to": "here"}
    lines.emit(_record("thumbs", "made", tasks[0].id))
    lines.emit(_record("thumbs", "bad", tasks[1].id, exc_text="Traceback ..."))
    lines.emit(_record("ipcq.stdout", "half", tasks[0].id))
    lines.emit(_record("thumbs", "late", TaskId.new()))
    lines.emit(_record("ipcq.logs", "7 dropped", None))
    lines.emit(_record("ipcq.monitor", "of the command itself", None))
    assert written == [
        "a.jpg: INFO thumbs: made\n",
        r"'\udcff\n': INFO thumbs: bad" + "\nTraceback ...\n",
        "a.jpg: half\n",
        "ipcq: INFO thumbs: late\n",
        "ipcq: INFO ipcq.logs: 7 dropped\n",
    ]


def test_items_are_forgotten() -> None:
    """Long after they ended: a source may be endless."""
    lines = LogLines(print, {})
    for _ in range(3):
        lines.mark([Task.of(b"x") for _ in range(_MOST)])
    assert len(lines._items) == _MOST


def test_nothing_is_left_of_it(private_directory: Path) -> None:
    """Nor is there anything where it is not asked for."""
    before = list(logging.root.handlers)
    with receiving(logging.INFO, print) as lines:
        assert lines in logging.root.handlers
    with receiving(None, print) as nothing:
        assert nothing is None
    assert logging.root.handlers == before
