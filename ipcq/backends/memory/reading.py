"""Reading slots that others may change meanwhile: copied first, and void unless unchanged after."""

from __future__ import annotations

from typing import Any

from ...errors import CodecError, TaskNotFound
from ...result import ErrorInfo, TaskResult
from ...status import Status
from ...task import Queue, Task, TaskId
from .connection import Connection
from .exchange import Found, Held
from .layout import (
    AMENDED,
    BLOCK_BYTES,
    D_ARENA,
    D_BLOB,
    D_INLINE,
    INLINE_BYTES,
    KIND_VALUE,
    M_EPOCH,
    M_INLINE,
    M_PAYLOAD,
    M_PROGRESS,
    META_WORDS,
    P_NAME,
    SAME,
    ST_DONE,
    ST_PENDING,
    ST_RUNNING,
    STATUS_MASK,
)
from .participant import read_text
from .parts import Codecs, HeldTask, Holder, Slot, error_of, task_of
from .progress import progress_of
from .slots import file_epoch, file_length, generation, owner

__all__ = ["Reader"]

_TRIES = 8
_DONE, _KILLED = Status.DONE, Status.KILLED  # looked up once: an attribute of an Enum is slow
_META_BYTES = META_WORDS * 8
_INLINE = 8 * M_INLINE


class Reader:
    """Slots of one queue as values."""

    def __init__(self, connection: Connection, queue: Queue, codecs: Codecs) -> None:
        self.connection = connection
        self.queue = queue
        self.codecs = codecs
        self._words = connection.words
        self._control = connection.segment.control
        self._arena = connection.segment.arena
        self._state_at = connection.core.state_at
        self._meta_at = connection.core.meta_at

    def slot(self, number: int) -> Slot:
        """A copy of a slot's words."""
        words = self._words
        word, epoch = words[self._state_at + number], words[self._meta_at + number * META_WORDS + M_EPOCH]
        slot = Slot.of(number, word, self._raw(number))
        if slot.meta[M_EPOCH] != epoch:  # what lies before the epoch may be older than it
            return slot._replace(word=word | AMENDED)
        return slot

    def _raw(self, number: int) -> bytes:
        at = self._meta_at * 8 + number * _META_BYTES
        return bytes(self._control[at : at + _META_BYTES])

    def unchanged(self, slot: Slot) -> bool:
        """Whether what was read from it since it was copied is that task's."""
        return not slot.word & AMENDED and self._is_still(slot.number, slot.word, slot.meta[M_EPOCH])

    def _is_still(self, number: int, word: int, epoch: int) -> bool:
        words = self._words
        return (
            not (words[self._state_at + number] ^ word) & SAME
            and words[self._meta_at + number * META_WORDS + M_EPOCH] == epoch
        )

    def payload(self, slot: Slot) -> bytes | memoryview | None:
        """The payload's bytes, the metadata's behind it; None where there is none any more."""
        desc = slot.meta[M_PAYLOAD]
        kind = desc & 3
        if kind == D_INLINE:
            return slot.raw[_INLINE : _INLINE + min(desc >> 32, INLINE_BYTES)]
        if kind == D_ARENA:
            at = (desc >> 8 & 0xFFFFFF) * BLOCK_BYTES
            return bytes(self._arena[at : at + (desc >> 32)])
        if kind == D_BLOB:
            return self.connection.blobs.map(
                slot.number, generation(slot.word), file_epoch(desc), file_length(desc)
            )
        return None

    # --- tasks ----------------------------------------------------------------------------------

    def task(self, slot: Slot) -> Task[Any]:
        """The task in a slot, its payload copied or mapped."""
        lock_by = self.worker_name(owner(slot.word)) if owner(slot.word) else None
        task = task_of(slot, self.queue, self.codecs, self.payload(slot), lock_by)
        if slot.word & STATUS_MASK == ST_RUNNING:  # as one word: of bytes that are copied, halves may be new
            task.progress = progress_of(self._words[self._meta_at + slot.number * META_WORDS + M_PROGRESS])
        return task

    def held(self, held: Held, holder: Holder) -> HeldTask | None:
        """The task that a worker was handed, if its payload is not at hand; None if it was taken away.

        Its payload is None where there is none any more.
        """
        payload = None
        if held[6] & 3 == D_BLOB:
            desc = held[6]
            payload = self.connection.blobs.map(held[0], held[1], file_epoch(desc), file_length(desc))
            if not self._is_still(held[0], held[3], held[2]):
                return None
        return HeldTask(held, payload, holder)

    def worker_name(self, row: int) -> str | None:
        """The id of the worker in row ``row`` - 1."""
        if not 0 < row <= self.connection.core.participants:
            return None
        return read_text(self.connection, self.connection.core.row(row - 1) + P_NAME)

    def find(self, task_id: TaskId) -> Slot | None:
        """The slot of a task, or None."""
        hi, lo = task_id >> 64, task_id & 0xFFFF_FFFF_FFFF_FFFF
        place = self.connection.call(self.connection.collect.find, hi, lo)
        if not place:
            return None
        slot = self.slot(place - 1)
        return slot if slot.id == task_id and slot.word & STATUS_MASK >= ST_PENDING else None

    def task_by_id(self, task_id: TaskId) -> Task[Any] | None:
        """The task with this id, whole, or None."""
        for _ in range(_TRIES):
            slot = self.find(task_id)
            if slot is None:
                return None
            task = self.task(slot)
            if self.unchanged(slot):
                break
        return task

    # --- results --------------------------------------------------------------------------------

    def result(self, task_id: TaskId, found: Found) -> TaskResult[Any]:
        """The outcome in a finished slot; void unless `Exchange.settle` agrees afterwards."""
        _, slot, word, epoch, kind, desc, inline = found
        data: bytes | memoryview | None = inline
        if data is None and desc & 3 == D_BLOB:
            data = self.connection.blobs.map(slot, generation(word), epoch, file_length(desc))
        if word & STATUS_MASK != ST_DONE:
            return TaskResult(task_id, _KILLED, None, error_of(kind, word, data))
        if kind & 0xFF != KIND_VALUE or data is None:
            lost = ErrorInfo("ResultLost", "the result was stored, and is not there any more")
            return TaskResult(task_id, _DONE, None, lost)
        codecs = self.codecs
        try:
            codec = codecs.own if kind ^ codecs.mark == KIND_VALUE else codecs.find(kind >> 32)
            return TaskResult(task_id, _DONE, codec.decode(data), None)
        except CodecError as error:
            return TaskResult(task_id, _DONE, None, ErrorInfo.from_exception(error))


def not_found(queue: str, task_id: int) -> TaskNotFound:
    """The error for an id that is not in the queue."""
    return TaskNotFound(
        f"queue {queue!r} has no task {TaskId(task_id)}: another queue's, or removed (by keep_result=False,"
        " vacuum or result_ttl)"
    )
