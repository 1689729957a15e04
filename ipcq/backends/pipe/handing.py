"""What fits into one answer: tasks for a worker, and a page of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import StorageError
from ...expose import Page
from ...result import ErrorInfo
from ...task import Task
from .frames import LARGEST_BLOB, LARGEST_HEAD, LARGEST_MESSAGE, LARGEST_SMALL
from .members import Held, Member
from .wire import pack_task

__all__ = ["hand", "pack_page", "too_large"]

_LARGEST_PAGE = 256 << 20  # bytes of payloads, beside the first
_LARGEST_ROWS = LARGEST_HEAD // 2  # bytes of small payloads and metadata; their packing comes on top
_PLACE, _METADATA = 2, 4  # in the row of a task


def hand(member: Member, tasks: Sequence[Task[Any]]) -> tuple[list[Any], list[bytes]]:
    """Rows and payloads of tasks that were taken for a worker, as many as one message has room for.

    The others go back; one that no message has room for is KILLED.
    """
    rows, blobs = list[Any](), list[bytes]()
    room, small = LARGEST_MESSAGE, _LARGEST_ROWS
    for task in tasks:
        payload = list[bytes]()
        row = pack_task(task, payload)
        size = len(payload[0]) if payload else 0
        room -= size
        small -= len(row[_METADATA]) + min(size, LARGEST_SMALL)
        if size > LARGEST_BLOB:
            member.fail(_held(task), too_large("arguments", size), 0.0, True)
        elif rows and (room < 0 or small < 0):
            member.give_back(_held(task))
        else:
            row[_PLACE] = len(blobs) if payload else None
            rows.append(row)
            blobs += payload
    return rows, blobs


def _held(task: Task[Any]) -> Held:
    assert task.lease is not None  # it was handed out
    return Held(task.id, task.lease)


def too_large(what: str, size: int) -> ErrorInfo:
    """The error of a task of which something cannot travel."""
    return ErrorInfo("PushError", f"{what} of {size} bytes cannot travel: a pipe takes {LARGEST_BLOB}")


def pack_page(page: Page[Task[Any]]) -> tuple[list[Any], list[bytes]]:
    """A page of tasks; `StorageError` where one message has no room for it."""
    rows, blobs, room = list[Any](), list[bytes](), _LARGEST_PAGE
    for task in page.items:
        room -= len(task.payload) if task.payload is not None else 0
        if rows and room < 0:
            raise StorageError(
                f"a page of {len(page.items)} tasks is larger than the {_LARGEST_PAGE} bytes of an answer;"
                " ask for a smaller page_size"
            )
        rows.append(pack_task(task, blobs))
    return [rows, page.page, page.page_size, page.total], blobs
