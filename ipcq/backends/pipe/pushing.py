"""Tasks into the pipe: encoded here, acknowledged when they are stored, sent again under the same ids."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ...codec import Codec
from ...errors import DuplicateTask, QueueFull, TaskSinkError
from ...task import Task, TaskId
from ..parts import Parts, Terms, parts_of, refuse
from .channels import Channels, was_sent_to_another
from .desk import LONGEST_WAIT
from .frames import Verb
from .wire import pack_ids

__all__ = ["Pusher", "Staged", "parts_row"]

_TOGETHER = 512  # tasks in one message
_LARGEST_PART = 16 << 20  # bytes of payloads in one message, unless one alone is larger


class Staged(NamedTuple):
    """A task ready to be sent."""

    id: TaskId
    payload: bytes
    parts: Parts


class Pusher:
    """Sends tasks of one queue."""

    def __init__(self, channels: Callable[[], Channels], codec: Codec) -> None:
        self._channels = channels
        self._codec = codec

    def __repr__(self) -> str:
        return f"<Pusher to {self._channels()!r}>"

    def stage(self, args: Any, parts: Parts, task_id: TaskId) -> Staged:
        """Encode one task; it gets ``task_id`` unless ``parts`` have one."""
        return Staged(parts.id or task_id, bytes(self._codec.encode(args)), parts)

    def stage_task(self, task: Task[Any]) -> Staged:
        """Encode one task that says itself how it is to be run."""
        refuse(task.status, task.attempts + task.deaths)
        return self.stage(task.args, parts_of(task), task.id)

    def push(self, tasks: Sequence[Staged], terms: Terms) -> None:
        """Have tasks stored in their order; those before an error are stored."""
        started, done = time.monotonic(), list[TaskId]()
        try:
            for part in _messages(tasks):
                self._push_part(part, terms, started)
                done += [task.id for task in part]
        except TaskSinkError as error:
            error.accepted = [*done, *error.accepted]
            raise

    def _push_part(self, part: Sequence[Staged], terms: Terms, started: float) -> None:
        stored, again = 0, False
        while stored < len(part):
            try:
                self._send(part[stored:], terms)
                return
            except QueueFull as full:
                stored += len(full.accepted)
                if not full.waiting_helps or _left(terms) <= 0:
                    full.accepted = [task.id for task in part[:stored]]
                    full.args = (f"{full}; asked for {time.monotonic() - started:.1f} s",)
                    raise
            except DuplicateTask as twice:
                stored += len(twice.accepted)
                again = again or was_sent_to_another(twice)
                if not again:
                    twice.accepted = [task.id for task in part[:stored]]
                    raise
                stored += 1  # by us: the answer was lost with the server or the connection

    def _send(self, part: Sequence[Staged], terms: Terms) -> None:
        wait = min(LONGEST_WAIT, max(0.0, _left(terms)))
        parts = (
            [part[0].parts] if all(task.parts is part[0].parts for task in part) else [t.parts for t in part]
        )
        ids, rows = pack_ids(task.id for task in part), [parts_row(each) for each in parts]
        blobs = [task.payload for task in part]
        self._channels().call(Verb.PUSH, ids, rows, wait, blobs=blobs, wait=wait)


def _left(terms: Terms) -> float:
    return LONGEST_WAIT if terms.until is None else terms.until - time.monotonic()


def parts_row(parts: Parts) -> list[Any]:
    """How a task is to be run, as plain values."""
    return [
        parts.run_at / 1e6,
        parts.priority,
        parts.max_attempts,
        parts.max_deaths,
        parts.timeout / 1e6 if parts.timeout else None,
        parts.keep,
        parts.encoded,
    ]


def _messages(tasks: Iterable[Staged]) -> Iterator[list[Staged]]:
    """Parts of what is to be sent, each fit for one message."""
    part, size = list[Staged](), 0
    for task in tasks:
        if part and (len(part) >= _TOGETHER or size + len(task.payload) > _LARGEST_PART):
            yield part
            part, size = [], 0
        part.append(task)
        size += len(task.payload)
    if part:
        yield part
