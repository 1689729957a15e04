"""What a slot says as values, and values as what a slot holds: limits, codecs, descriptors, errors."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

from ...codec import Codec
from ...codecs import MsgpackCodec, get_codec
from ...errors import CodecError
from ...result import ErrorInfo
from ...status import Status
from ...task import Lease, Task, TaskId
from ..deaths import worker_died
from ..parts import Parts
from .exchange import Held
from .layout import (
    ATTEMPTS_MASK,
    ATTEMPTS_SHIFT,
    DEATHS_MASK,
    DEATHS_SHIFT,
    DIED_NAME_CUT,
    DIED_OOM,
    EXIT_BIAS,
    KIND_CANCELLED,
    KIND_CORRUPT,
    KIND_DIED,
    KIND_ERROR,
    KIND_NO_ROOM,
    L_DEATHS_SHIFT,
    L_GIVEN_ID,
    L_KEEP,
    L_LEVEL_SHIFT,
    LEVEL_COUNT,
    LOWEST_PRIORITY,
    M_CREATED,
    M_DONE_AT,
    M_EPOCH,
    M_ID_HI,
    M_ID_LO,
    M_INLINE,
    M_LIMITS,
    M_LOCK_AT,
    M_PARTS,
    M_RUN_AT,
    M_TIMEOUT,
    MAX_ATTEMPTS,
    MAX_DEATHS,
    ST_DONE,
    ST_KILLED,
    ST_PENDING,
    STATUS_MASK,
)
from .slots import generation, owner

__all__ = [
    "Codecs",
    "HeldTask",
    "Holder",
    "Slot",
    "checksum",
    "error_of",
    "limits_of",
    "status_of",
    "task_of",
]

_PLAIN = MsgpackCodec()  # of metadata and errors, whatever the queue's codec is
_STATUSES = tuple(Status)
_HIGH = 0xFFFF_FFFF << 32
_META = Struct(f"={M_INLINE}Q")
_WORD, _WORDS = Struct("=Q"), Struct("=QQ")


def checksum(codec: str) -> int:
    """How a codec's name is recorded with a task."""
    return zlib.crc32(codec.encode())


class Codecs:
    """The codec of one queue, and those that its tasks may name instead."""

    def __init__(self, codec: Codec) -> None:
        self.own = codec
        self.mark = checksum(codec.name) << 32
        known = [get_codec(name) for name in ("msgpack", "json", "raw")]
        self._by_mark = {checksum(each.name): each for each in (*known, codec)}

    def find(self, mark: int) -> Codec:
        """The codec with this checksum; `CodecError` where nobody here has it."""
        try:
            return self._by_mark[mark]
        except KeyError:
            raise CodecError(
                f"a task of this queue was written with a codec that is not known here (its checksum is"
                f" {mark:08x}); open the queue with that codec: codec=..."
            ) from None


# --- into a slot ----------------------------------------------------------------------------------


def limits_of(parts: Parts) -> int:
    """The word of a task's limits."""
    return _limits_word(
        parts.max_attempts, parts.max_deaths, parts.priority, parts.keep, parts.id is not None
    )


@lru_cache(maxsize=64)
def _limits_word(max_attempts: int, max_deaths: int, priority: int, keep: bool, given: bool) -> int:
    return (
        max_attempts
        | max_deaths << L_DEATHS_SHIFT
        | priority - LOWEST_PRIORITY << L_LEVEL_SHIFT
        | (L_KEEP if keep else 0)
        | (L_GIVEN_ID if given else 0)
    )


# --- out of a slot --------------------------------------------------------------------------------


def status_of(word: int) -> Status:
    """The status in a state word that is in use."""
    return _STATUSES[(word & STATUS_MASK) - ST_PENDING]


class Slot(NamedTuple):
    """A slot as it was at one moment.

    Attributes:
        number: which one.
        word: its state word.
        meta: its metadata words, those before the inline bytes.
        raw: all its metadata as bytes, the inline ones too.
    """

    number: int
    word: int
    meta: tuple[int, ...]
    raw: bytes

    @classmethod
    def of(cls, number: int, word: int, raw: bytes) -> Slot:
        """From its state word and the bytes of its metadata."""
        return cls(number, word, _META.unpack_from(raw), raw)

    @property
    def id(self) -> TaskId:
        """The task's id."""
        return TaskId(self.meta[M_ID_HI] << 64 | self.meta[M_ID_LO])


def task_of(
    slot: Slot, queue: str, codecs: Codecs, payload: bytes | memoryview | None, lock_by: str | None
) -> Task[Any]:
    """The task in a slot; its args are decoded when they are read."""
    meta, word = slot.meta, slot.word
    max_attempts, max_deaths, priority, keep = _limits(meta[M_LIMITS])
    parts = meta[M_PARTS]
    metadata: Mapping[str, Any] = {}
    if payload is not None and parts & 0xFFFF_FFFF:
        cut = len(payload) - (parts & 0xFFFF_FFFF)
        metadata, payload = _metadata(payload[cut:]), payload[:cut]
    held = owner(word)
    timeout = meta[M_TIMEOUT]
    status = word & STATUS_MASK
    codec = codecs.own if parts & _HIGH == codecs.mark else _Other(codecs, parts >> 32)
    return Task(
        slot.id,
        queue,
        _STATUSES[status - ST_PENDING],
        (word & ATTEMPTS_MASK) >> ATTEMPTS_SHIFT,
        (word & DEATHS_MASK) >> DEATHS_SHIFT,
        max_attempts,
        max_deaths,
        priority,
        meta[M_RUN_AT] / 1e6,
        timeout / 1e6 if timeout else None,
        metadata,
        keep,
        lock_by if held else None,
        meta[M_LOCK_AT] / 1e6 if held else None,
        meta[M_CREATED] / 1e6,
        meta[M_DONE_AT] / 1e6 if status == ST_DONE or status == ST_KILLED else None,
        codec.name,
        payload,
        Lease(slot.number, generation(word), meta[M_EPOCH], held - 1) if held else None,
        codec.decode,
    )


class Holder(NamedTuple):
    """What all tasks that one worker holds have in common."""

    queue: str
    codecs: Codecs
    worker_id: str


class HeldTask(Task[Any]):
    """A task that a worker runs: most handlers look at its args only, so the rest is read when asked for.

    Attributes:
        held: how it was read when it was handed out; in front its slot, generation and epoch.
    """

    __slots__ = ("_holder", "held")

    def __init__(self, held: Held, payload: bytes | memoryview | None, holder: Holder) -> None:
        self.held = held
        self._holder = holder
        self.payload = payload
        codecs = holder.codecs
        if held[5] == codecs.mark:
            self._decode = codecs.own.decode
            self.metadata = {}  # there: each run is asked for them
        else:  # metadata behind the payload, or another codec
            self._fill(payload)

    def read(self) -> Task[Any]:
        """All of it, as it was handed out."""
        return self._read(self.payload) if self.held[5] == self._holder.codecs.mark else self

    def _read(self, payload: bytes | memoryview | None) -> Task[Any]:
        held, (queue, codecs, worker_id) = self.held, self._holder
        return task_of(Slot.of(held[0], held[3], held[4]), queue, codecs, payload, worker_id)

    def _fill(self, payload: bytes | memoryview | None) -> None:
        held, codecs = self.held, self._holder.codecs
        whole = self._read(payload)
        for name, slot in _LAZY.items():
            try:
                slot.__get__(self)
            except AttributeError:
                slot.__set__(self, getattr(whole, name))
        if held[5] != codecs.mark:
            self.payload, self._decode, self.metadata = whole.payload, whole._decode, whole.metadata


_AT_ONCE = {"payload", "metadata", "_decode", "_args"}
_LAZY = {name: Task.__dict__[name] for name in Task.__slots__ if name not in _AT_ONCE}


def _id_of(held: Held) -> TaskId:
    high, low = _WORDS.unpack_from(held[4], 8 * M_ID_HI)
    return TaskId(high << 64 | low)


def _timeout_of(held: Held) -> float | None:
    (timeout,) = _WORD.unpack_from(held[4], 8 * M_TIMEOUT)
    return timeout / 1e6 if timeout else None


def _lease_of(held: Held) -> Lease:
    return Lease(held[0], held[1], held[2], owner(held[3]) - 1)


_ALONE: dict[str, Callable[[Held], Any]] = {"id": _id_of, "timeout": _timeout_of, "lease": _lease_of}
"""What layers, and servers of pipes, ask every task for."""


def _lazy(slot: Any, alone: Callable[[Held], Any] | None) -> property:
    """An attribute that is read when it is asked for first: alone, or with all the others."""

    def get(self: HeldTask) -> Any:
        try:
            return slot.__get__(self)
        except AttributeError:
            if alone is None:
                self._fill(self.payload)
            else:
                slot.__set__(self, alone(self.held))
            return slot.__get__(self)

    return property(get, slot.__set__)


for _name, _slot in _LAZY.items():  # no __getattr__: with one, every other attribute is slow, too
    setattr(HeldTask, _name, _lazy(_slot, _ALONE.get(_name)))


@lru_cache(maxsize=64)
def _limits(word: int) -> tuple[int, int, int, bool]:
    """The limits in their word; of thousands of tasks they are mostly the same."""
    return (
        word & MAX_ATTEMPTS,
        word >> L_DEATHS_SHIFT & MAX_DEATHS,
        (word >> L_LEVEL_SHIFT & LEVEL_COUNT - 1) + LOWEST_PRIORITY,
        bool(word & L_KEEP),
    )


def _metadata(data: bytes | memoryview) -> dict[str, Any]:
    try:
        found = _PLAIN.decode(data)
    except CodecError:  # a damaged payload must not make its task invisible
        return {}
    return found if isinstance(found, dict) else {}


class _Other:
    """The codec of a task that was not written with the queue's own; looked for when it is needed."""

    def __init__(self, codecs: Codecs, mark: int) -> None:
        self._codecs = codecs
        self._mark = mark

    @property
    def name(self) -> str:
        try:
            return self._codecs.find(self._mark).name
        except CodecError:
            return f"unknown ({self._mark:08x})"

    def decode(self, data: bytes | memoryview) -> Any:
        return self._codecs.find(self._mark).decode(data)


# --- errors ---------------------------------------------------------------------------------------


def error_bytes(error: ErrorInfo) -> bytes:
    """An error as bytes; details that have no plain form are told as text."""
    try:
        details = _PLAIN.encode(dict(error.details))
    except CodecError:
        details = _PLAIN.encode({key: repr(value) for key, value in error.details.items()})
    return _PLAIN.encode([_text(error.type), _text(error.message), _text(error.traceback), details])


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def short_error_bytes(error: ErrorInfo, limit: int) -> bytes:
    """What fits into ``limit`` bytes of it: for when there is no room for more."""
    name = _text(error.type)[: limit // 3]
    message = _text(error.message)
    while len(data := _PLAIN.encode([name, message, "", b"\x80"])) > limit:
        message = message[: max(0, len(message) - max(1, (len(data) - limit) // 4))]
        if not message:
            name = name[: len(name) // 2]
    return data


def error_of(kind: int, word: int, data: bytes | memoryview | None) -> ErrorInfo:
    """The error that a KILLED or FAILED slot keeps, in whatever form."""
    if kind & 0xFF == KIND_CANCELLED:
        return ErrorInfo("Cancelled", "the task was cancelled; what it gave, if anything, was not stored")
    if kind & 0xFF == KIND_CORRUPT:
        return ErrorInfo("CorruptTask", "damaged bytes were found where this task was; push it again")
    if data is None:
        return ErrorInfo("ErrorLost", "the error was not readable")
    if kind & 0xFF == KIND_NO_ROOM:
        size = int.from_bytes(data[:8], "little")
        return ErrorInfo(
            "NoRoom",
            f"the result of {size} bytes found no place in the queue; fetch results earlier, raise"
            " arena_bytes= or blob_bytes=, or return less",
        )
    if kind & 0xFF == KIND_DIED:
        return _death(word, data)
    if kind & 0xFF != KIND_ERROR:
        return ErrorInfo("ErrorLost", "the error was not readable")
    return _decoded(data)


def _decoded(data: bytes | memoryview) -> ErrorInfo:
    try:
        name, message, trace, details = _PLAIN.decode(data)
        return ErrorInfo(str(name), str(message), str(trace), dict(_PLAIN.decode(details)))
    except (CodecError, ValueError, TypeError):
        return ErrorInfo("ErrorLost", "the error was not readable")


def _death(word: int, data: bytes | memoryview) -> ErrorInfo:
    pid, exit_word, rss, flags = (int.from_bytes(data[8 * n : 8 * n + 8], "little") for n in range(4))
    if flags & DIED_NAME_CUT:
        name = bytes(data[32:56]).decode("utf-8", "ignore") + "…"
    else:
        name = bytes(data[32:56]).rstrip(b"\0").decode("utf-8", "replace")
    return worker_died(
        pid=pid,
        worker=name,
        exitcode=exit_word - EXIT_BIAS if exit_word else None,
        rss=rss,
        out_of_memory=bool(flags & DIED_OOM),
        deaths=(word & DEATHS_MASK) >> DEATHS_SHIFT,
    )
