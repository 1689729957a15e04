"""Reading slots that others may change meanwhile: copied first, and void unless unchanged after."""

from __future__ import annotations

from struct import Struct
from typing import Any

from ...errors import CodecError, TaskNotFound
from ...result import ErrorInfo, TaskResult
from ...status import Status
from ...task import Queue, Task, TaskId
from .connection import Connection
from .layout import (
    BLOCK_BYTES,
    COUNTED_MASK,
    D_ARENA,
    D_BLOB,
    D_INLINE,
    GEN_MASK,
    GEN_SHIFT,
    INLINE_BYTES,
    KIND_VALUE,
    M_EPOCH,
    M_INLINE,
    M_KIND,
    M_PAYLOAD,
    M_RESULT,
    M_RESULT_INLINE,
    META_WORDS,
    OWNER_MASK,
    P_NAME,
    RESULT_INLINE_BYTES,
    ST_DONE,
    ST_PENDING,
    STATUS_MASK,
)
from .participant import read_text
from .parts import Codecs, HeldTask, Slot, error_of, task_of
from .slots import generation, owner

__all__ = ["Reader"]

# What must be the same for what was read to be one task's, in one run.
_SAME = STATUS_MASK | OWNER_MASK | COUNTED_MASK | GEN_MASK << GEN_SHIFT
_TRIES = 8
_DONE, _KILLED = Status.DONE, Status.KILLED  # looked up once: an attribute of an Enum is slow
_META = Struct(f"={M_INLINE}Q")
_META_BYTES = META_WORDS * 8


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
        return self.slot_at(number, self._words[self._state_at + number])

    def slot_at(self, number: int, word: int) -> Slot:
        """A copy of a slot's metadata beside a state word that was read before."""
        at = self._meta_at * 8 + number * _META_BYTES
        raw = bytes(self._control[at : at + _META_BYTES])
        return Slot(number, word, _META.unpack_from(raw), raw)

    def unchanged(self, slot: Slot) -> bool:
        """Whether what was read from it since it was copied is that task's."""
        at = self._meta_at + slot.number * META_WORDS
        return (
            not (self._words[self._state_at + slot.number] ^ slot.word) & _SAME
            and self._words[at + M_EPOCH] == slot.meta[M_EPOCH]
        )

    def payload(self, slot: Slot) -> bytes | memoryview | None:
        """The payload's bytes, the metadata's behind it; None where there is none any more."""
        return self._bytes(slot, slot.meta[M_PAYLOAD], M_INLINE, INLINE_BYTES, 0)

    def result_bytes(self, slot: Slot) -> bytes | memoryview | None:
        """The bytes of the result or error."""
        return self._bytes(
            slot, slot.meta[M_RESULT], M_RESULT_INLINE, RESULT_INLINE_BYTES, slot.meta[M_EPOCH]
        )

    def _bytes(self, slot: Slot, desc: int, inline: int, most: int, epoch: int) -> bytes | memoryview | None:
        kind = desc & 3
        if kind == D_INLINE:
            return slot.raw[inline * 8 : inline * 8 + min(desc >> 32, most)]
        if kind == D_ARENA:
            at = (desc >> 8 & 0xFFFFFF) * BLOCK_BYTES
            return bytes(self._arena[at : at + (desc >> 32)])
        if kind == D_BLOB:
            return self.connection.blobs.map(slot.number, generation(slot.word), epoch, desc >> 2)
        return None

    # --- tasks ----------------------------------------------------------------------------------

    def task(self, slot: Slot) -> Task[Any]:
        """The task in a slot, its payload copied or mapped."""
        lock_by = self.worker_name(owner(slot.word)) if owner(slot.word) else None
        return task_of(slot, self.queue, self.codecs, self.payload(slot), lock_by)

    def held(self, number: int, epoch: int, worker_id: str) -> Task[Any] | None:
        """The task that worker ``worker_id`` got with this epoch; None if it was taken away since.

        Its payload is None where there is none any more.
        """
        slot = self.slot(number)
        payload = self.payload(slot)
        if slot.meta[M_EPOCH] != epoch or not owner(slot.word) or not self.unchanged(slot):
            return None
        return HeldTask(slot, self.queue, self.codecs, payload, worker_id)

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

    def result(self, slot: Slot, task_id: TaskId) -> TaskResult[Any]:
        """The outcome in a finished slot; void unless `settle` agrees afterwards."""
        kind = slot.meta[M_KIND]
        data = self.result_bytes(slot) if slot.meta[M_RESULT] else b""
        if slot.word & STATUS_MASK != ST_DONE:
            return TaskResult(task_id, _KILLED, None, error_of(kind, slot.word, data))
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
